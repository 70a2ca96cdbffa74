"""What ``check`` looks at. Each look returns findings, with the fix where something is wrong."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx2
from redis import Redis
from rq import Worker

from receiver.asking import ask
from receiver.findings import BAD, OK, WARN, Finding, careful
from receiver.keycheck import keys_and_budgets
from workers import keys
from workers.census import Census
from workers.connections import safe_url, web_redis
from workers.documents import number
from workers.durability import durability, longest_in_listpack
from workers.errors import LedgerUnavailable
from workers.nudges import queue
from workers.paths import result_path
from workers.places import redis_url
from workers.restoremark import RestoreMark
from workers.services import Services
from workers.settings import Settings
from workers.valkey import LISTPACK_BYTES
from workers.wiring import build
from workers.work import DELIVERIES, LANES

_CLOCK_SILENT_S: Final = 15.0
_PUBLIC_S: Final = 10.0


def examine(env: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings as they come. Spends one request of each account at Swiftia. Raises InvalidSettings."""
    settings = Settings.from_env(env)
    with contextlib.closing(web_redis(redis_url(settings))) as redis:
        yield from look_over(build(settings, redis))


def look_over(services: Services) -> Iterator[Finding]:
    """Yield the findings about a service whose settings have been read. Spends one request of each account."""
    settings, redis = services.settings, services.redis
    yield Finding(OK, "settings", "every variable can be read")
    if settings.submit_dry_run:
        yield Finding(WARN, "settings", "SUBMIT_DRY_RUN is set, so no job is submitted", "unset it when trying is over")
    yield from careful("Redis", lambda: _redis(settings, redis))
    yield from careful("restore", lambda: _restore(settings, redis))
    yield from careful("clock", lambda: _clock(redis))
    yield from careful("workers", lambda: _workers(redis))
    yield from careful("web", lambda: _web(settings))
    yield from careful("Swiftia", lambda: keys_and_budgets(services))
    yield from careful("archive", lambda: _archive(services))
    yield from careful("public URL", lambda: _public_url(services))
    yield from careful("storage", lambda: _storage(services))
    yield from careful("spool", lambda: _spool(services))


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
    longest = longest_in_listpack(redis)
    if longest is not None and longest < LISTPACK_BYTES:
        said = f"hash-max-listpack-value is {longest}: each finished job takes about 0.2 kB more than it must"
        yield Finding(WARN, "memory", said, f"set hash-max-listpack-value {LISTPACK_BYTES}")


def _restore(settings: Settings, redis: Redis) -> Iterator[Finding]:
    with contextlib.suppress(LedgerUnavailable):  # which was told above
        RestoreMark(redis, settings.data_dir).refuse()
    yield from ()


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
    seconds, micros = redis.time()
    passed = redis.hget(keys.CLOCK, DELIVERIES)
    if isinstance(passed, bytes) and seconds + micros / 1e6 - float(passed) / 1000 < _CLOCK_SILENT_S:
        yield Finding(OK, "workers", f"a courier on the lane {DELIVERIES}")
    else:
        fix = f"start one: swiftia-receiver worker --lane {DELIVERIES}"
        yield Finding(BAD, "workers", f"no courier on the lane {DELIVERIES}", fix)


def _web(settings: Settings) -> Iterator[Finding]:
    status = ask(settings, "/readyz")
    if status == HTTPStatus.OK:
        yield Finding(OK, "web", f"{settings.own_url} is ready")
    elif status is None:
        yield Finding(BAD, "web", f"nothing answers at {settings.own_url}", "start it: swiftia-receiver web (or up)")
    else:
        yield Finding(BAD, "web", f"{settings.own_url}/readyz answers {status}", "its answer and its log say why")


def _archive(services: Services) -> Iterator[Finding]:
    soon = Census(services.redis, archive_s=services.settings.archive_s).take().archive_soon
    if soon:
        found = f"{soon} jobs have not ended, and Swiftia archives them within days: their files are deleted there then"
        fix = "look at them (swiftia-receiver jobs --state parked), mend what keeps them, and retry them"
        yield Finding(WARN, "archive", found, fix)
    else:
        yield Finding(OK, "archive", "no job that has not ended is about to be archived by Swiftia")


def _public_url(services: Services) -> Iterator[Finding]:
    url = services.settings.callback_base
    accounts = services.upstreams.accounts.by_name.values()
    real = any(account.key is not None and not _is_local(account.base_url) for account in accounts)
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
    space = services.artifacts.space()
    if space is not None and space.paused:
        found = f"{space.free / 1e9:.1f} GB are free, {space.spare / 1e9:.1f} GB are to stay free: downloads wait"
        yield Finding(BAD, "storage", found, "free some space and they go on, or lower MIN_FREE_BYTES")
    elif space is not None:
        yield Finding(OK, "storage", f"{space.free / 1e9:.1f} GB are free on the disk that downloads are written to")


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
