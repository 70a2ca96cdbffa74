"""One frozen value with everything that the environment decides, read once.

``Settings.from_env`` takes a mapping, reports every problem in one ``InvalidSettings`` and names look-alikes of
variables that it does not know. Secrets are ``SecretStr``: they do not show in a repr or a traceback.
"""

import difflib
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from workers.addresses import check_url, web_url
from workers.errors import InvalidInput, InvalidSettings
from workers.limits import PLANS, RateLimit, parse_rate_limit
from workers.outbox import EVENTS

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _seconds(text: object) -> float:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h|d|)", str(text).strip(), re.ASCII)
    if match is None:
        raise ValueError("is no duration; write a number with ms, s, m, h or d, such as 10m")
    return float(match[1]) * _UNITS[match[2]]


def _bytes(text: object) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*([kmgt]?)(?:i?b)?", str(text).strip().lower(), re.ASCII)
    if match is None:
        raise ValueError("is no size; write a number of bytes or one with K, M or G, such as 64M")
    return int(match[1]) * _SIZES[match[2]]


def _words(text: object) -> tuple[str, ...]:
    if not isinstance(text, str):
        return tuple(text) if isinstance(text, (list, tuple)) else ()
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _secrets(text: object) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(word) for word in _words(text))


def _networks(text: object) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word) for word in _words(text))
    except ValueError as error:
        raise ValueError(f"holds no valid network ({error}); write CIDRs such as 10.1.0.0/16") from None


def _switch(text: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if str(text).strip().lower() not in known:
        raise ValueError("is neither true nor false")
    return known[str(text).strip().lower()]


def _rate(text: object) -> RateLimit:
    try:
        return text if isinstance(text, RateLimit) else parse_rate_limit(str(text))
    except InvalidInput as error:
        raise ValueError(error.message) from None


def _events(text: object) -> tuple[str, ...]:
    words = _words(text)
    strange = sorted(set(words) - set(EVENTS))
    if strange:
        raise ValueError(f"has {strange[0][:40]!a}, which is no event; the events are {', '.join(EVENTS)}")
    return words


def _web_url(text: object) -> str:
    return web_url(str(text))


def _header(text: object) -> str:
    name = str(text).strip()
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", name, re.ASCII) is None:
        raise ValueError("is no name of a header; write one such as X-Forwarded-User")
    return name


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Rate = Annotated[RateLimit, BeforeValidator(_rate)]
Events = Annotated[tuple[str, ...], BeforeValidator(_events)]
DeliveryUrl = Annotated[str, BeforeValidator(lambda text: check_url(str(text)))]
WebUrl = Annotated[str, BeforeValidator(_web_url)]
Header = Annotated[str, BeforeValidator(_header)]

_OUR_PREFIXES = ("SWIFTIA_", "CALLBACK_", "WEBHOOK_", "RENDER_", "DELIVERY_", "STORAGE_", "KEEP_", "FREE_", "TRUSTED_",
                 "RETENTION_", "ARCHIVE_", "RECONCILE_", "REDIS_", "ADMIN_", "ACK_", "PUBLIC_", "WEB_CONC", "MAX_",
                 "MIN_", "METRICS_", "LOG_", "DATA_", "REQUIRE_", "RETRY_", "SUBMIT_", "GRACE_", "SPOOL_", "WORKER",
                 "HANDLER", "VIEWER_", "CONSOLE_")  # fmt: skip


class Settings(BaseModel):
    """Each field is the environment variable of the same name in capitals. Durations in seconds, sizes in bytes."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    redis_url: SecretStr | None = None
    require_durable: Switch = False
    ack_replicas: Annotated[int, Field(ge=0, le=16)] = 0
    data_dir: Path = Path("data")
    swiftia_api_key: SecretStr | None = None
    swiftia_accounts: Path | None = None
    swiftia_base_url: WebUrl = "https://app.swiftia.io"
    swiftia_plan: Literal["free", "starter", "pro", "swift"] = "free"
    swiftia_rate_limit: Rate | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    public_url: WebUrl = ""
    callback_keys: Secrets = ()
    webhook_signing_secrets: Secrets = ()
    admin_token: SecretStr | None = None
    viewer_token: SecretStr | None = None
    console_auth_header: Header = ""
    trusted_proxies: Networks = ()
    render_rules: Path | None = None
    render_when_unsure: Literal["retry", "park"] = "retry"
    storage_url: str = ""
    keep_videos: Switch = True
    min_free_bytes: Annotated[int, BeforeValidator(_bytes), Field(ge=0)] = 1 << 30
    free_upstream: Switch = False
    trusted_networks: Networks = ()
    delivery_url: DeliveryUrl | None = None
    delivery_secret: Secrets = ()
    delivery_events: Events = EVENTS
    delivery_timeout: Annotated[Seconds, Field(gt=0)] = 15.0
    delivery_retry_base: Seconds = 5.0
    delivery_patience: Seconds = 3 * 86_400.0
    delivery_threads: Annotated[int, Field(ge=1, le=256)] = 16
    handler: str = ""
    reconcile_after: Seconds = 600.0
    storage_warn_percent: Annotated[float, Field(ge=0, le=100)] = 80.0
    archive_days: Annotated[int, Field(ge=1, le=180)] = 90
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    max_callback_bytes: Size = 1 << 20
    spool_max_bytes: Size = 256 << 20
    max_result_bytes: Size = 64 << 20
    max_video_bytes: Size = 8 << 30
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 10
    retry_base: Seconds = 2.0
    retry_cap: Seconds = 600.0
    submit_patience: Seconds = 10.0
    submit_dry_run: Switch = False
    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    grace_seconds: Seconds = 30.0
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

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
