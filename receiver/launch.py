"""Which processes ``up`` runs, and with which environment. Nothing is started here."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workers.errors import InvalidSettings
from workers.processes import Child
from workers.sandbox import SandboxConfig
from workers.settings import Settings
from workers.work import DELIVERIES, FILES, LANES, UPSTREAM

PROGRAM: Final = "swiftia-receiver"
SANDBOX_KEY: Final = "sandbox-key"
_SANDBOX_LIMIT: Final = "5/1s"
_LOOPBACK: Final = "127.0.0.0/8"
# A worker ends its step first, and a step is one request or one download; the kill is for what hangs.
_LAST_SECONDS: Final = 10.0
# Each tells every second that it goes on (workers/pulse.py). On a machine that is short of everything one may be late.
_WATCHDOG_S: Final = 20.0
_PACKAGE_HOME: Final = Path(__file__).resolve().parent.parent
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Plan:
    """``env``: what every child gets. ``sandbox_port``: None where Swiftia itself is used."""

    settings: Settings
    env: Mapping[str, str]
    sandbox_port: int | None

    @property
    def sandbox_url(self) -> str | None:
        return None if self.sandbox_port is None else f"http://127.0.0.1:{self.sandbox_port}"


def plan(env: Mapping[str, str], *, sandbox_allowed: bool) -> Plan:
    """Decide between Swiftia and the sandbox. Raise InvalidSettings where there is no key and no sandbox allowed."""
    settings = Settings.from_env(env)
    if settings.swiftia_api_key is not None or settings.swiftia_accounts is not None:
        return Plan(settings, env, None)
    if not sandbox_allowed:
        raise InvalidSettings(["SWIFTIA_API_KEY is not set, and --no-sandbox forbids the sandbox; set the key"])
    if _given(env, "SWIFTIA_BASE_URL"):
        raise InvalidSettings(
            ["SWIFTIA_BASE_URL is set and SWIFTIA_API_KEY is not; set the key, or unset both to use the sandbox"]
        )
    port = _sandbox_port(env, settings)
    changed = {**env, **_sandbox_env(env, port)}
    # Read here already: a sandbox that cannot start would be started again and again.
    SandboxConfig.from_env(changed)
    return Plan(Settings.from_env(changed), changed, port)


def _sandbox_port(env: Mapping[str, str], settings: Settings) -> int:
    text = _given(env, "SANDBOX_PORT") or str(settings.port + 10)
    port = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST_PORT)) else 0
    if not 1 <= port <= _HIGHEST_PORT or port == settings.port:
        raise InvalidSettings([f"SANDBOX_PORT={text!r} must be a port of its own; by default it is PORT + 10"])
    return port


def _sandbox_env(env: Mapping[str, str], port: int) -> dict[str, str]:
    limit = _given(env, "SANDBOX_RATE_LIMIT") or _SANDBOX_LIMIT
    own_limit = _given(env, "SWIFTIA_RATE_LIMIT") or ("" if _given(env, "SWIFTIA_PLAN") else limit)
    networks = [text for text in (_given(env, "TRUSTED_NETWORKS"), _LOOPBACK) if text]
    return {
        "SANDBOX_HOST": "127.0.0.1",
        "SANDBOX_PORT": str(port),
        "SANDBOX_API_KEY": SANDBOX_KEY,
        "SANDBOX_RATE_LIMIT": limit,
        "SWIFTIA_BASE_URL": f"http://127.0.0.1:{port}",
        "SWIFTIA_API_KEY": SANDBOX_KEY,
        "SWIFTIA_RATE_LIMIT": own_limit,
        # The sandbox serves its films from this machine, which downloads otherwise never touch.
        "TRUSTED_NETWORKS": ",".join(networks),
    }


def _given(env: Mapping[str, str], name: str) -> str:
    return env.get(name, "").strip()


def worker_counts(workers: int, accounts: int = 1) -> dict[str, int]:
    """Split worker processes over the lanes: at least one each, and downloads get the odd one. Besides there is one
    courier, which carries out many deliveries at once.

    Each further account that Swiftia may leave hanging brings the worker that it would hold, up to ``workers``.

    >>> worker_counts(4), worker_counts(1)
    ({'upstream': 2, 'files': 2, 'deliveries': 1}, {'upstream': 1, 'files': 1, 'deliveries': 1})
    >>> worker_counts(4, accounts=2), worker_counts(4, accounts=9)
    ({'upstream': 3, 'files': 2, 'deliveries': 1}, {'upstream': 4, 'files': 2, 'deliveries': 1})
    """
    half = max(1, workers // 2)
    return {UPSTREAM: min(workers, half + accounts - 1), FILES: max(1, workers - half), DELIVERIES: 1}


def command(*words: str) -> list[str]:
    """Return the command line that runs a command of ours in a process of its own."""
    # -P: a folder called ``workers`` in the current directory must not stand in for ours.
    safe = [] if Path.cwd() == _PACKAGE_HOME else ["-P"]
    return [sys.executable, *safe, "-m", "receiver", *words]


def web(plan: Plan) -> Child:
    patience = plan.settings.grace_seconds + _LAST_SECONDS
    return Child("web", command("web"), env=plan.env, stop_seconds=patience, watchdog_seconds=_WATCHDOG_S)


def clock(plan: Plan) -> Child:
    words = command("clock")
    return Child("clock", words, env=plan.env, stop_seconds=_LAST_SECONDS, watchdog_seconds=_WATCHDOG_S)


def sandbox(plan: Plan) -> Child:
    return Child("sandbox", command("sandbox"), env=plan.env, stop_seconds=_LAST_SECONDS)


def workers(plan: Plan, counts: Mapping[str, int]) -> Iterator[Child]:
    """Yield the worker processes, ``counts`` of each lane."""
    patience = plan.settings.grace_seconds + _LAST_SECONDS
    for lane in (*LANES, DELIVERIES):
        for number in range(1, counts.get(lane, 0) + 1):
            name, words = f"worker-{lane}-{number}", command("worker", "--lane", lane)
            yield Child(name, words, env=plan.env, stop_seconds=patience, watchdog_seconds=_WATCHDOG_S)


def call(env: Mapping[str, str], *words: str) -> str:
    """Return how a person at another terminal calls a command of ours for the service with this environment."""
    told = [f"{name}={shlex.quote(env[name])}" for name in ("DATA_DIR", "HOST", "PORT") if _given(env, name)]
    return " ".join([*told, _program(), *words])


def _program() -> str:
    """Return the shortest way to our command from this directory."""
    script = Path(sys.executable).with_name(PROGRAM)
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m receiver"
    if shutil.which(PROGRAM) == str(script):
        return PROGRAM
    return shlex.quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))
