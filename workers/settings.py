"""One frozen value with everything that the environment decides, read once.

``Settings.from_env`` takes a mapping, reports every problem in one ``InvalidSettings`` and names look-alikes of
variables that it does not know. Secrets are ``SecretStr``: they do not show in a repr or a traceback.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from workers.errors import InvalidSettings
from workers.limits import PLANS, RateLimit
from workers.outbox import EVENTS
from workers.units import DeliveryUrl, Events, Header, Networks, Rate, Seconds, Secrets, Size, Switch, WebUrl, size_of

_OUR_PREFIXES = ("SWIFTIA_", "CALLBACK_", "WEBHOOK_", "RENDER_", "DELIVERY_", "STORAGE_", "KEEP_", "FREE_", "TRUSTED_",
                 "RETENTION_", "ARCHIVE_", "RECONCILE_", "REDIS_", "ADMIN_", "ACK_", "PUBLIC_", "WEB_CONC", "MAX_",
                 "MIN_", "METRICS_", "LOG_", "DATA_", "REQUIRE_", "RETRY_", "SUBMIT_", "GRACE_", "SPOOL_", "WORKER",
                 "HANDLER", "VIEWER_", "CONSOLE_")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """What to say of a default that is not simply a value."""

    text: str


class Settings(BaseModel):
    """Each field is the environment variable of the same name in capitals. Durations in seconds, sizes in bytes.

    What is said below each stands in the README: ``make settings-table`` reads it here. (Not pydantic: it would read
    this file in every process, which took longer than all else of the import.)
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    swiftia_api_key: Annotated[SecretStr | None, Shown("not set: sandbox with `up`")] = None
    """The organization's key."""
    swiftia_accounts: Annotated[Path | None, Shown("not set: the one key")] = None
    """A TOML file with the keys of several organizations, see `deploy/accounts.md`."""
    swiftia_base_url: WebUrl = "https://app.swiftia.io"
    """Where Swiftia's API is."""
    swiftia_plan: Literal["free", "starter", "pro", "swift"] = "free"
    """Decides the request allowance: `free` 1/5s, `starter` 1/2s, `pro` 1/1s, `swift` 5/1s."""
    swiftia_rate_limit: Annotated[Rate | None, Shown("that of the plan")] = None
    """An allowance of your own, such as `1/2s`."""
    public_url: Annotated[WebUrl, Shown("`http://HOST:PORT`")] = ""
    """Where Swiftia reaches this service."""
    host: str = "127.0.0.1"
    """Where the web processes listen."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """And on which port."""
    metrics_host: str = "127.0.0.1"
    """Where `METRICS_PORT` listens."""
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """A port of its own for `/metrics`, without a token and with nothing else."""
    callback_keys: Annotated[Secrets, Shown("made once, kept in `DATA_DIR`")] = ()
    """Sign the callback URLs; comma-separated, newest first."""
    webhook_signing_secrets: Secrets = ()
    """`whsec_…`, comma-separated: callbacks must be signed by Standard Webhooks as well."""
    max_callback_bytes: Size = 1 << 20
    """A larger callback is answered 413."""
    spool_max_bytes: Size = 256 << 20
    """How much may wait in `DATA_DIR/spool` while Redis is away; what comes beyond that is answered 503."""
    admin_token: Annotated[SecretStr | None, Shown("made once, kept in `DATA_DIR/admin-token`")] = None
    """Bearer token of the API, and the one to sign in to the console with."""
    viewer_token: SecretStr | None = None
    """The same, for looking only: `GET` under `/api`, `/metrics`, and the console without its buttons."""
    trusted_proxies: Networks = ()
    """CIDRs of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    console_auth_header: Header = ""
    """A header, such as `X-Forwarded-User`, in which one of them names who has signed in to it: they need no token in
    the console and may do everything. The proxy has to take it out of what others send."""
    submit_patience: Seconds = 10.0
    """How long `POST /api/jobs` waits for its turn before it answers 429."""
    submit_dry_run: Switch = False
    """`POST /api/jobs` checks everything and answers what it would send; sends and stores nothing. For one request:
    `?dry_run=true`."""
    data_dir: Path = Path("data")
    """Embedded Valkey, spool, secrets made here, kept files."""
    redis_url: Annotated[SecretStr | None, Shown("not set: embedded Valkey")] = None
    """`redis://`, `rediss://`, `unix://` or `redis+sentinel://`; wants `appendfsync always` and `noeviction`, and
    `hash-max-listpack-value 4096` for least memory."""
    require_durable: Switch = False
    """Refuse to start, instead of warning, on a Redis that may lose what it acknowledged."""
    ack_replicas: Annotated[int, Field(ge=0, le=16)] = 0
    """So many replicas must have a callback before it is acknowledged."""
    storage_url: Annotated[str, Shown("`DATA_DIR/artifacts`")] = ""
    """`file:///…`, `s3://bucket/prefix`, `gs://…` or `az://…`."""
    keep_videos: Switch = True
    """Download rendered videos; `false`: the job names where Swiftia has them, as `url` of each render."""
    min_free_bytes: Annotated[int, BeforeValidator(size_of), Field(ge=0)] = 1 << 30
    """While less is free on the disk that videos are written to, downloads wait; `0`: they never do."""
    free_upstream: Switch = False
    """Delete a job's files at Swiftia once all its videos are kept here."""
    max_result_bytes: Size = 64 << 20
    """A larger result parks its job."""
    max_video_bytes: Size = 8 << 30
    """A larger video parks its render."""
    storage_warn_percent: Annotated[float, Field(ge=0, le=100)] = 80.0
    """From so much used storage at Swiftia on, `GET /api/storage` and `check` warn."""
    archive_days: Annotated[int, Field(ge=1, le=180)] = 90
    """After so many days Swiftia archives a job and deletes its files there, 1 to 180, as it is set in Swiftia's web
    application; who has not ended in the last 7 of them is counted by `check` and `/metrics`, and not asked about on
    the last."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    """Finished and failed jobs are erased so many days after they ended, `0`: never. Parked ones stay."""
    trusted_networks: Networks = ()
    """CIDRs that downloads and deliveries may reach besides public addresses."""
    render_rules: Annotated[Path | None, Shown("every short, Swiftia's defaults")] = None
    """A TOML file: which shorts of which function, preset, brand preset, size, options (`workers/rules.py`)."""
    delivery_url: DeliveryUrl | None = None
    """Where your application is told of its jobs, see `deploy/deliveries.md`."""
    delivery_secret: Annotated[Secrets, Shown("made once, kept in `DATA_DIR/delivery-secret`")] = ()
    """`whsec_…`, comma-separated: each of them signs."""
    delivery_events: Annotated[Events, Shown("all six")] = EVENTS
    """Which events are sent: `job.completed`, `render.kept`, `render.failed`, `job.finished`, `job.failed`,
    `job.parked`."""
    delivery_timeout: Annotated[Seconds, Field(gt=0)] = 15.0
    """How long your application may take to answer."""
    delivery_retry_base: Seconds = 5.0
    """The first pause after a failed try; it trebles, up to 8 hours."""
    delivery_patience: Seconds = 3 * 86_400.0
    """For how long a delivery is tried before it is parked."""
    delivery_threads: Annotated[int, Field(ge=1, le=256)] = 16
    """Deliveries under way at once; one target gets a quarter of them, one that fails a single one."""
    handler: str = ""
    """A Python function that is called in place of `DELIVERY_URL`: `package.module:function`, or the name of an
    installed one."""
    render_when_unsure: Literal["retry", "park"] = "retry"
    """When a crash leaves open whether a render was started: `retry` it, or `park` it."""
    reconcile_after: Seconds = 600.0
    """A job without a callback is asked about from then on, ever more slowly."""
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 10
    """Failed attempts of one step before it is parked."""
    retry_base: Seconds = 2.0
    """The first pause between attempts; it doubles."""
    retry_cap: Seconds = 600.0
    """The longest pause."""
    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    """Web processes."""
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    """Worker processes, split between what talks to Swiftia and what downloads; a courier for deliveries is added, and
    for each further account one that talks to Swiftia, until these are `WORKERS`."""
    grace_seconds: Seconds = 30.0
    """How long a stop waits for what is in hand; what is cut off is put back at once."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`console`, `json`, or `auto`: console on a terminal."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning`, `error`."""

    @model_validator(mode="before")
    @classmethod
    def _lower_choices(cls, values: dict[str, Any]) -> dict[str, Any]:
        choices = ("swiftia_plan", "render_when_unsure", "log_format", "log_level")
        return {name: str(value).strip().lower() if name in choices else value for name, value in values.items()}

    @property
    def rate_limit(self) -> RateLimit:
        return self.swiftia_rate_limit or PLANS[self.swiftia_plan]

    @property
    def archive_s(self) -> float:
        return self.archive_days * 86_400.0

    @property
    def callback_base(self) -> str:
        return self.public_url or self.own_url

    @property
    def own_url(self) -> str:
        """Where this machine reaches the web process."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def artifacts_url(self) -> str:
        return self.storage_url or f"file://{self.data_dir.absolute()}/artifacts"

    @property
    def staging(self) -> Path:
        """Where a file on its way to a bucket lies until it is whole."""
        return self.data_dir.absolute() / "staging"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Raise ``InvalidSettings`` with all problems together. An empty variable counts as not set."""
        names = {name.upper(): name for name in cls.model_fields}
        given: dict[str, Any] = {names[key]: value for key, value in env.items() if key in names and value.strip()}
        problems = look_alikes(env)
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise InvalidSettings(problems + [_explain(problem, given) for problem in error.errors()]) from None
        if settings.metrics_port == settings.port:
            problems.append(f"METRICS_PORT={settings.port} is PORT too; give it a port of its own")
        if problems:
            raise InvalidSettings(problems)
        return settings


def look_alikes(env: Mapping[str, str]) -> list[str]:
    """Name variables that look like ours and are none: a typing error must not run with defaults in silence."""
    known = [name.upper() for name in Settings.model_fields]
    found = []
    for key in sorted(env):
        if key in known or not key.startswith(_OUR_PREFIXES):
            continue
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        if close:
            found.append(f"{key} is not known; did you mean {close[0]}?")
        elif key.startswith("SWIFTIA_"):
            found.append(f"{key} is not known; deploy/example.env lists every variable")
    return found


def _explain(problem: Any, given: Mapping[str, str]) -> str:
    field = str(problem["loc"][0]) if problem["loc"] else "?"
    message = str(problem["msg"]).removeprefix("Value error, ")
    hidden = Settings.model_fields[field].annotation == SecretStr | None or field.endswith(
        ("keys", "secret", "secrets")
    )
    shown = "" if hidden else f"={given.get(field, '')!r}"
    return f"{field.upper()}{shown}: {message} (see deploy/example.env)"
