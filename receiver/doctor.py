"""What ``check`` looks at. Each look returns findings, with the fix where something is wrong."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx2
from redis import Redis, RedisError
from rq import Worker

from receiver.launch import without_effect
from receiver.machine import ask
from workers import keys
from workers.budget import NoSlot
from workers.connections import durability, safe_url, web_redis
from workers.documents import member, number
from workers.errors import LedgerUnavailable, ServiceError
from workers.nudges import queue
from workers.paths import result_path
from workers.settings import Settings
from workers.wiring import Services, build, redis_url
from workers.work import LANES

OK: Final = "ok"
WARN: Final = "warn"
BAD: Final = "bad"

_CLOCK_SILENT_S: Final = 15.0
_TURN_S: Final = 20.0
_PUBLIC_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: ok, warn or bad. ``fix`` is empty where nothing is wrong."""

    level: str
    what: str
    found: str
    fix: str = ""


def examine(env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings as they come. Spends one request of the budget at Swiftia. Raises InvalidSettings."""
    settings = Settings.from_env(env)
    yield Finding(OK, "settings", "every variable can be read")
    for name in without_effect(env):
        yield Finding(WARN, "settings", f"{name} is set", "this version has no such feature yet; unset it")
    with contextlib.closing(web_redis(redis_url(settings))) as redis:
        services = build(settings, redis)
        yield from _careful("Redis", lambda: _redis(settings, redis))
        yield from _careful("clock", lambda: _clock(redis))
        yield from _careful("workers", lambda: _workers(redis))
        yield from _careful("web", lambda: _web(settings))
        yield from _careful("Swiftia", lambda: _swiftia(services))
        yield from _careful("public URL", lambda: _public_url(settings))
        yield from _careful("storage", lambda: _storage(services))
        yield from _careful("spool", lambda: _spool(services))


def _careful(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except LedgerUnavailable as error:
        yield Finding(BAD, what, "not known, because Redis does not answer", error.message)
    except ServiceError as error:
        said, _, fix = error.message.rpartition("; ")
        yield Finding(BAD, what, said, fix)
    except RedisError as error:
        yield Finding(BAD, what, f"Redis does not answer ({type(error).__name__})", "start it: swiftia-receiver up")


def _redis(settings: Settings, redis: Redis) -> Iterator[Finding]:
    where = "embedded Valkey" if settings.redis_url is None else safe_url(redis_url(settings))
    try:
        found = durability(redis)
    except LedgerUnavailable:
        fix = "start it: swiftia-receiver up" if settings.redis_url is None else "see that it runs, and check REDIS_URL"
        yield Finding(BAD, "Redis", f"{where} does not answer", fix)
        return
    yield Finding(OK, "Redis", f"{where} answers")
    level = BAD if settings.require_durable else WARN
    for problem in (*found.problems, *found.lacking(settings.ack_replicas)):
        said, _, fix = problem.rpartition("; ")
        yield Finding(level, "durability", said, fix)
    if found.unknown:
        names = ", ".join(found.unknown)
        yield Finding(
            level, "durability", f"the server does not tell {names}", "look it up where the server is managed"
        )
    if found.durable:
        yield Finding(OK, "durability", "an acknowledged callback survives a crash of the server")


def _clock(redis: Redis) -> Iterator[Finding]:
    seconds, micros = redis.time()
    now_ms = seconds * 1000 + micros / 1000
    for lane in LANES:
        raw = redis.hget(keys.CLOCK, lane)
        passed = number(raw.decode()) if isinstance(raw, bytes) else None
        silent_s = None if passed is None else (now_ms - passed) / 1000
        if silent_s is not None and silent_s < _CLOCK_SILENT_S:
            yield Finding(OK, "clock", f"passed the lane {lane} {silent_s:.1f} s ago")
            continue
        found = "never ran" if silent_s is None else f"has been silent for {silent_s:.0f} s"
        yield Finding(BAD, "clock", f"{found} (lane {lane})", "start one: swiftia-receiver clock (up does it too)")


def _workers(redis: Redis) -> Iterator[Finding]:
    for lane in LANES:
        count = Worker.count(queue=queue(redis, lane))
        if count:
            yield Finding(OK, "workers", f"{count} on the lane {lane}")
        else:
            yield Finding(
                BAD, "workers", f"none on the lane {lane}", f"start one: swiftia-receiver worker --lane {lane}"
            )


def _web(settings: Settings) -> Iterator[Finding]:
    status = ask(settings, "/readyz")
    if status == HTTPStatus.OK:
        yield Finding(OK, "web", f"{settings.own_url} is ready")
    elif status is None:
        yield Finding(BAD, "web", f"nothing answers at {settings.own_url}", "start it: swiftia-receiver web (or up)")
    else:
        yield Finding(BAD, "web", f"{settings.own_url}/readyz answers {status}", "its answer and its log say why")


def _swiftia(services: Services) -> Iterator[Finding]:
    if services.settings.swiftia_api_key is None:
        yield Finding(
            WARN, "Swiftia", "SWIFTIA_API_KEY is not set: only the sandbox of `up` can be used", "set the key"
        )
        return
    uploads = _in_turn(services)
    if uploads is None:
        yield Finding(WARN, "Swiftia", f"no request was free for {_TURN_S:g} s, so the key was not tried", "try later")
        return
    used, total = number(member(uploads, "usedSize")), number(member(uploads, "subSize"))
    storage = "" if used is None or total is None else f"; {used:g} of {total:g} MB are used there"
    yield Finding(OK, "Swiftia", f"{services.settings.swiftia_base_url} takes the key{storage}")


def _in_turn(services: Services) -> object:
    """Ask for the storage when the budget allows it; None when it does not in time."""
    deadline = time.monotonic() + _TURN_S
    while True:
        try:
            with services.budget.slot("reconcile", "check"):
                return services.swiftia.uploads()
        except NoSlot as turn:
            if time.monotonic() + turn.wait_s > deadline:
                return None
            time.sleep(turn.wait_s)


def _public_url(settings: Settings) -> Iterator[Finding]:
    url = settings.callback_base
    real = settings.swiftia_api_key is not None and not _is_local(settings.swiftia_base_url)
    if real and _is_local(url):
        yield Finding(
            BAD, "public URL", f"Swiftia cannot reach {url}", "set PUBLIC_URL to the https address of this service"
        )
        return
    if real and not url.startswith("https://"):
        yield Finding(WARN, "public URL", f"{url} is not https: callback URLs are secrets", "put TLS in front of it")
    try:
        status = httpx2.get(f"{url}/healthz", timeout=_PUBLIC_S, trust_env=False).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        found = f"{url}/healthz cannot be reached from here ({type(error).__name__})"
        yield Finding(BAD, "public URL", found, "check the name, the tunnel or proxy, and that the service runs")
        return
    if status == HTTPStatus.OK:
        yield Finding(OK, "public URL", f"{url} leads here")
    else:
        yield Finding(
            BAD, "public URL", f"{url}/healthz answers {status}", "let the proxy pass every path on unchanged"
        )


def _is_local(url: str) -> bool:
    """Whether an address is of no use from outside: loopback or private, by its name or number alone."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _storage(services: Services) -> Iterator[Finding]:
    probe = f"check-{secrets.token_hex(8)}"
    kept = services.artifacts.put(result_path(probe), b"written by swiftia-receiver check; may be deleted\n")
    services.artifacts.delete_job(probe)
    yield Finding(OK, "storage", f"{services.settings.artifacts_url} took {kept.size} bytes and deleted them")


def _spool(services: Services) -> Iterator[Finding]:
    depth = services.intake.spool.depth()
    if depth.aside:
        yield Finding(
            BAD, "spool", f"{depth.aside} callbacks were set aside", "the log of web says why; a restart tries again"
        )
    if waiting := depth.count - depth.aside:
        found = f"{waiting} callbacks wait for Redis"
        yield Finding(WARN, "spool", found, "they are handed on by themselves once Redis takes writes")
    elif not depth.aside:
        yield Finding(OK, "spool", "no callback waits for Redis")
