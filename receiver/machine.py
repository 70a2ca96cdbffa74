"""The whole service on one machine: what ``up`` checks, starts, says and stops."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from structlog.typing import FilteringBoundLogger

from receiver import launch
from receiver.asking import ask
from receiver.exits import PortTaken
from receiver.halfrestored import refuse_half_restored
from receiver.launch import Plan
from workers import folderlock, notify
from workers.connections import safe_url, web_redis
from workers.durability import durability
from workers.errors import InvalidSettings
from workers.notify import Notifier
from workers.places import redis_url, valkey_directory
from workers.processes import ProcessService
from workers.roster import read_all
from workers.settings import Settings
from workers.supervisor import Service, Supervisor
from workers.valkey import EmbeddedValkey

# What an earlier run left behind when it was killed needs a moment to end.
_GRACE_S: Final = 3.0
# A web process whose launcher was killed ends the requests that it has in hand, and only then leaves its port.
_ORPHAN_S: Final = 10.0
_ASK_EVERY_S: Final = 0.2
_LONG_START_S: Final = 30.0
_log: FilteringBoundLogger = structlog.get_logger("receiver.machine")


def run(plan: Plan, env: Mapping[str, str], *, say: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP. Main thread only.

    ``env``: as it was given, for telling how to call our commands. ``say`` gets what a person should read. Raises
    AlreadyRunning, PortTaken, InvalidSettings, Conflict and LedgerUnavailable before anything is started.
    """
    with _holding(plan.settings.data_dir):
        check_port(plan.settings.host, plan.settings.port, "PORT", patience_s=_ORPHAN_S)
        if plan.settings.metrics_port is not None:
            host, port = plan.settings.metrics_host, plan.settings.metrics_port
            check_port(host, port, "METRICS_PORT", patience_s=_ORPHAN_S)
        if plan.sandbox_port is not None:
            check_port("127.0.0.1", plan.sandbox_port, "SANDBOX_PORT", patience_s=_ORPHAN_S)
        read_all(plan.settings)  # a child that cannot read them would be started again and again
        refuse_half_restored(plan.settings)
        check_redis(plan.settings, say)
        if plan.sandbox_url:
            say(sandbox_notice(plan.sandbox_url))
        notifier = Notifier(env.get(notify.VARIABLE))
        started = threading.Thread(target=_announce, args=(plan, env, say, notifier), daemon=True)
        started.start()
        Supervisor(ranks(plan), log=_log, notifier=notifier).run()


def ranks(plan: Plan) -> list[Sequence[Service]]:
    """Return the services in start order. They stop in reverse: the door stays open until the workers have ended."""
    below: list[Service] = []
    if plan.settings.redis_url is None:
        below.append(EmbeddedValkey(valkey_directory(plan.settings)))
    if plan.sandbox_port is not None:
        below.append(ProcessService(launch.sandbox(plan)))
    counts = launch.worker_counts(plan.settings.workers, len(read_all(plan.settings).by_name))
    work = [launch.clock(plan), *launch.workers(plan, counts)]
    return [
        rank for rank in (below, [ProcessService(launch.web(plan))], [ProcessService(child) for child in work]) if rank
    ]


@contextlib.contextmanager
def _holding(data_dir: Path) -> Iterator[None]:
    """Keep a second ``up`` out of the data directory."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = folderlock.acquire(data_dir, grace_s=_GRACE_S)
    except OSError as error:
        raise InvalidSettings([f"DATA_DIR={str(data_dir)!r} cannot be used: {error}"]) from None
    try:
        folderlock.write_holder(lock, server=os.getpid(), now=time.time)
        yield
    finally:
        os.close(lock)


def check_port(host: str, port: int, name: str, *, patience_s: float = 0.0) -> None:
    """Raise PortTaken when something still listens there after ``patience_s``, InvalidSettings for what cannot be."""
    deadline = time.monotonic() + patience_s
    while (problem := _cannot_listen(host, port, name)) is not None:
        if time.monotonic() > deadline:
            raise PortTaken(problem)
        time.sleep(_ASK_EVERY_S)


def _cannot_listen(host: str, port: int, name: str) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do it: connections of an earlier run that are still winding down do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError:
            raise InvalidSettings(
                [f"{name}={port} is kept for the system's administrator; use 1024 or above"]
            ) from None
        except socket.gaierror:
            raise InvalidSettings(
                [f"{name.removesuffix('PORT')}HOST={host!r} is not known; write an address of this machine"]
            ) from None
        except OSError as error:
            where = f"cannot listen on {host} port {port}: {error.strerror}"
            return f"{where}; stop what listens there, or set another {name}"
    return None


def check_redis(settings: Settings, say: Callable[[str], None]) -> None:
    """Say what may lose work in the Redis of REDIS_URL; raise InvalidSettings instead where REQUIRE_DURABLE is set."""
    if settings.redis_url is None:
        if settings.ack_replicas:
            raise InvalidSettings(["ACK_REPLICAS waits for replicas, which the embedded Valkey has none of; unset it"])
        return
    url = redis_url(settings)
    with contextlib.closing(web_redis(url)) as client:
        found = durability(client)
    problems = [
        *found.problems,
        *found.lacking(settings.ack_replicas),
        *(f"it does not say its {name}" for name in found.unknown),
    ]
    if not problems:
        return
    if settings.require_durable:
        raise InvalidSettings([f"REDIS_URL={safe_url(url)}: {problem}" for problem in problems])
    say(f"WARNING: {safe_url(url)} may lose callbacks that were acknowledged:")
    for problem in problems:
        say(f"  - {problem}")
    say("  Mend it and set REQUIRE_DURABLE=true to be refused instead of warned, or unset REDIS_URL.")


def sandbox_notice(url: str) -> str:
    return (
        f"NO SWIFTIA_API_KEY: this runs against the built-in sandbox ({url}); nothing real is made or billed.\n"
        "To work with Swiftia itself, set SWIFTIA_API_KEY and PUBLIC_URL (`swiftia-receiver check` looks them over)."
    )


def _announce(plan: Plan, env: Mapping[str, str], say: Callable[[str], None], notifier: Notifier) -> None:
    begun = time.monotonic()
    complained = False
    while (status := ask(plan.settings, "/readyz")) != HTTPStatus.OK:
        if not complained and time.monotonic() - begun > _LONG_START_S:
            complained = True
            _log.warning("start.slow", url=plan.settings.own_url, readyz=status)
        time.sleep(_ASK_EVERY_S)
    notifier.ready()
    say(welcome(plan, env))


def welcome(plan: Plan, env: Mapping[str, str]) -> str:
    """Say where everything is and what to do first."""
    settings, data = plan.settings, plan.settings.data_dir.absolute()
    token = "the one in ADMIN_TOKEN" if settings.admin_token else str(data / "admin-token")
    redis = f"embedded Valkey, its log is {valkey_directory(settings) / 'valkey.log'}"
    if settings.redis_url is not None:
        redis = safe_url(redis_url(settings))
    lines = [
        f"swiftia-receiver is ready: {settings.own_url}",
        f"  console      {settings.own_url}/, to be opened in a browser; it wants the admin token",
        f"  callbacks    {settings.callback_base}/webhooks/swiftia/…",
        f"  upstream     {settings.swiftia_base_url}, {settings.rate_limit}"
        + (" (sandbox)" if plan.sandbox_url else ""),
        f"  data         {data}",
        f"  kept files   {settings.artifacts_url}",
        f"  admin token  {token}",
        f"  ledger       {redis}",
        "  logs         this terminal",
        f"A first job, from another terminal:  {launch.call(env, 'submit', 'dQw4w9WgXcQ', '--wait')}",
    ]
    return "\n".join(lines)
