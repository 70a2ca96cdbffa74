"""``make bench-door``: how fast a callback is acknowledged, ours beside four others, in one interleaved run.

    nothing    gunicorn and Flask, and nothing that is kept: the ceiling
    tutorial   ``queue.enqueue`` in a view of Flask
    celery     ``.delay()`` in a view of Flask
    arq        FastAPI on uvicorn, ``enqueue_job`` (it and celery: requirements/bench.txt)
    ours       by how the Redis behind it writes, and with one replica to wait for

Two server processes each. Every request is a callback that never came before, with a body of some 600 bytes. All are
up all the time; what is not measured does nothing. Ratios are within a round, and the median of the rounds is shown.
Interrupted, it shows what it has; ``--json`` is written anew after each part.
"""

import argparse
import contextlib
import itertools
import json
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from tests.bench.delays import delayed
from tests.bench.knocks import Answers, Knocker
from tests.bench.pages import open_pages
from tests.bench.stalls import ADMIN, KEY, Stall, Store, all_up, cpu_of, gunicorn, ours, pss_of, rss_of, uvicorn
from tests.chaos.machine import ROOT
from workers.tokens import new_ref, shared_token, token

PEERS = ROOT / ".venv" / "bench" / "bin" / "python"
CONNECTIONS = 32
WARM = 5000  # more than any has answered in the half second before it is measured
ROUND_TRIP_S = 0.002
_OPEN_S = 12.0  # longer than the longest pause of a page
_FOLLOWED = "job_followed"


@dataclass
class Contest:
    stores: dict[str, Store]
    stalls: list[Stall]


def requests(number: int) -> Iterator[bytes]:
    """Made beforehand, so that making them takes nothing from anybody."""
    return iter([_request(n) for n in range(number)])


def _request(n: int) -> bytes:
    del n
    body = json.dumps({"id": f"job_{secrets.token_hex(8)}", "status": "completed", "shorts": ["x" * 60] * 8}).encode()
    path = f"/webhooks/swiftia/{token(new_ref(secrets.token_bytes), [KEY])}"
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: axios/1.7", "Accept: */*",
            "Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]  # fmt: skip
    return "\r\n".join(head).encode() + body


def contest(folder: Path, *, peers: bool) -> Contest:
    stores = {kind: Store(folder / f"v-{kind}", kind) for kind in ("none", "no", "everysec", "always")}
    replicated = stores["replicated"] = Store(folder / "v-first", "always")
    second = stores["second"] = Store(folder / "v-second", "always")
    replicated.start()
    second.start("--replicaof", f"127.0.0.1 {replicated.port}")
    stalls = [
        Stall("nothing", gunicorn("nothing"), folder / "nothing"),
        Stall("tutorial, no file", gunicorn("tutorial"), folder / "tutorial", stores["none"]),
        Stall("tutorial, always", gunicorn("tutorial"), folder / "tutorial-always", stores["always"]),
    ]
    if peers:
        stalls += [
            Stall("celery, no file", gunicorn("with_celery", PEERS), folder / "celery", stores["none"]),
            Stall("arq, no file", uvicorn("with_arq", PEERS), folder / "arq", stores["none"]),
        ]
    for kind in ("no", "everysec", "always"):
        stalls.append(_ours(f"ours, {kind}", folder / f"ours-{kind}", stores[kind]))
    stalls.append(_ours("ours, 1 replica", folder / "ours-replica", replicated, ACK_REPLICAS="1"))
    return Contest(stores, stalls)


def _ours(name: str, folder: Path, store: Store, **more: str) -> Stall:
    return Stall(name, [sys.executable, "-P", "-m", "receiver", "web"], folder, store, ours(folder, **more))


def one_round(stall: Stall, seconds: float) -> dict[str, Any]:
    """The peak first, then half of it."""
    if stall.store:
        stall.store.clear()
    with contextlib.closing(Knocker(stall.port, CONNECTIONS)) as knocker:
        first = knocker.closed(requests(WARM), 0.5)
        made = requests(CONNECTIONS + int(first.rate * 1.5 * seconds))
        web, redis = stall.cpu(), cpu_of(stall.store.pid) if stall.store else 0.0
        peak = knocker.closed(made, seconds)
        web, redis = stall.cpu() - web, (cpu_of(stall.store.pid) - redis) if stall.store else 0.0
        half = knocker.paced(requests(int(peak.rate / 2 * seconds) + 1), seconds, peak.rate / 2)
    return {
        "rate": peak.rate,
        "web_ms": web / max(1, len(peak.late)) * 1000,
        "redis_ms": redis / max(1, len(peak.late)) * 1000,
        "p50": peak.percentile(0.5),
        "p99": peak.percentile(0.99),
        "half_p50": half.percentile(0.5),
        "half_p99": half.percentile(0.99),
        "rss": stall.largest(rss_of),
        "pss": stall.largest(pss_of),
        "refused": {**peak.refused, **half.refused},
        "broken": peak.broken + half.broken,
        "sent": len(peak.late) + len(half.late),
    }


def far_away(folder: Path, seconds: float, *, peers: bool) -> dict[str, float]:
    """The median latency of one connection where each command to Redis takes 2 ms there and back, in milliseconds.

    ``a PING``: what such a way takes here, with the delays that this machine adds.
    """
    store = Store(folder / "v", "no")
    store.start()
    with delayed(f"http://127.0.0.1:{store.port}", ROUND_TRIP_S / 2, seed=1, least_s=ROUND_TRIP_S / 2) as wire:
        url = wire.replace("http://", "redis://") + "/0"
        stalls = [
            Stall("nothing", gunicorn("nothing"), folder / "nothing"),
            Stall("tutorial", gunicorn("tutorial"), folder / "tutorial", store, {"REDIS_URL": url}),
            _ours("ours", folder / "ours", store, REDIS_URL=url),
        ]
        if peers:
            stalls += [
                Stall("celery", gunicorn("with_celery", PEERS), folder / "celery", store, {"REDIS_URL": url}),
                Stall("arq", uvicorn("with_arq", PEERS), folder / "arq", store, {"REDIS_URL": url}),
            ]
        late: dict[str, list[float]] = {"a PING": [], **{stall.name: [] for stall in stalls}}
        with all_up([store], stalls), contextlib.closing(Redis.from_url(url)) as client:
            for _, stall in itertools.product(range(3), stalls):
                late["a PING"] += [_pinged(client) for _ in range(100)]
                with contextlib.closing(Knocker(stall.port, 1)) as knocker:
                    made = requests(int(seconds * 700))
                    knocker.closed(made, 0.3)
                    late[stall.name] += knocker.closed(made, seconds / 3).late
    return {name: statistics.median(each) * 1000 for name, each in late.items()}


def _pinged(client: Redis) -> float:
    began = time.perf_counter()
    client.ping()
    return time.perf_counter() - began


def pages(stall: Stall, number: int, rounds: int, rate: float) -> dict[str, Any]:
    """p99 at ``rate`` with so many open pages that do what the console's do, beside that without any.

    Each window begins with pages that are quiet, so that all of them look when the callbacks begin, and again later.
    Which of a pair is first takes turns. ``ratio``: the median of the pairs; ``pooled``: of all callbacks together.
    """
    _follow(stall.port)
    found: dict[str, list[Answers]] = {"without": [], "with": []}
    for n in range(rounds):
        for kind in sorted(found, reverse=n % 2 == 0):
            opened = open_pages(stall.port, ADMIN, _FOLLOWED, number) if kind == "with" else contextlib.nullcontext()
            with opened, contextlib.closing(Knocker(stall.port, CONNECTIONS)) as knocker:
                found[kind].append(knocker.paced(requests(int(_OPEN_S * rate) + 10), _OPEN_S, rate))
    each = {kind: [answers.percentile(0.99) for answers in windows] for kind, windows in found.items()}
    ratios = [one / other for one, other in zip(each["with"], each["without"], strict=True)]
    pooled = {kind: _pooled(windows).percentile(0.99) for kind, windows in found.items()}
    return {
        **{kind: statistics.median(p99) for kind, p99 in each.items()},
        "ratio": statistics.median(ratios),
        "pooled": pooled["with"] / pooled["without"],
        "each": each,
    }


def _pooled(windows: Sequence[Answers]) -> Answers:
    return Answers(late=list(itertools.chain.from_iterable(answers.late for answers in windows)))


def _follow(port: int) -> None:
    """Have a job whose page can be opened."""
    body = json.dumps({"id": _FOLLOWED}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/webhooks/swiftia/{shared_token([KEY])}", body)
    with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - ours
        assert answer.status == 202


HEADS = [
    *("", "req/s", ": nothing", "web ms", ": tutorial", "redis ms"),
    *("p50", "p99", "half p99", "RSS MiB", "PSS", "not 2xx"),
]


def rows(rounds: list[dict[str, dict[str, Any]]]) -> list[list[str]]:
    def median(name: str, key: str, base: str | None = None) -> float:
        both = [each for each in rounds if name in each and (base is None or base in each)]
        ratios = [each[name][key] / (each[base][key] if base else 1.0) for each in both]
        return statistics.median(ratios) if ratios else float("nan")

    found = []
    for name in dict.fromkeys(itertools.chain.from_iterable(rounds)):
        refused = sum(sum(each[name]["refused"].values()) + each[name]["broken"] for each in rounds if name in each)
        found.append([
            name,
            f"{median(name, 'rate'):.0f}",
            f"{median(name, 'rate', 'nothing'):.2f}",
            f"{median(name, 'web_ms'):.3f}",
            f"{median(name, 'web_ms', 'tutorial, no file'):.2f}",
            f"{median(name, 'redis_ms'):.3f}",
            *(f"{median(name, key):.1f}" for key in ("p50", "p99", "half_p99", "rss", "pss")),
            str(refused),
        ])  # fmt: skip
    return found


def show(table: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    sys.stdout.write("\n")
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        sys.stdout.write("  ".join(cells) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench-door", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each part of a round lasts (3)")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="also with N open pages of the console")
    parser.add_argument("--pages-rounds", type=int, default=5, help="so often with and without them, 12 s each (5)")
    parser.add_argument("--pages-rate", type=float, help="callbacks a second meanwhile; half of the peak if not said")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="those with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args(arguments)
    if given.quick:
        given.rounds, given.seconds = 2, 2.0
    if not PEERS.exists():
        sys.stdout.write("without celery and arq, which `make .venv/.bench` installs\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: dict[str, Any] = {"cpus": os.cpu_count(), "load": os.getloadavg(), "rounds": []}
    whole = True
    with tempfile.TemporaryDirectory(prefix="door-", dir="/tmp") as name:
        try:
            for _ in run(Path(name), given, found, peers=PEERS.exists()):
                write(found, given.json)
        except KeyboardInterrupt:
            whole = False
    found["load_after"] = os.getloadavg()
    write(found, given.json)
    sys.stdout.write(f"\nThe median of {len(found['rounds'])} rounds{'' if whole else ', interrupted'}:\n")
    show([HEADS, *rows(found["rounds"])])
    for title in ("far_away", "pages", "failed"):
        if found.get(title):
            sys.stdout.write(f"{title}: {json.dumps(found[title])}\n")
    return 0 if whole and not found.get("failed") else 1


def write(found: dict[str, Any], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def run(folder: Path, given: argparse.Namespace, found: dict[str, Any], *, peers: bool) -> Iterator[None]:
    """Add to ``found``, and say so after each part. One contestant that fails does not end the others."""
    held = contest(folder, peers=peers)
    words = [*given.only, "nothing", "tutorial, no file"] if given.only else []
    stalls = [stall for stall in held.stalls if not words or any(word in stall.name for word in words)]
    with all_up(list(held.stores.values()), stalls):
        for _ in range(given.rounds):
            found["rounds"].append({})
            for stall in stalls:
                try:
                    found["rounds"][-1][stall.name] = one_round(stall, given.seconds)
                except (OSError, ArithmeticError) as error:
                    found.setdefault("failed", {})[stall.name] = repr(error)
                yield
            show([HEADS, *rows(found["rounds"][-1:])])
        if given.pages:
            stall = next(stall for stall in stalls if stall.name == "ours, always")
            rate = given.pages_rate or found["rounds"][-1][stall.name]["rate"] / 2
            found["pages"] = {"rate": rate, **pages(stall, given.pages, given.pages_rounds, rate)}
            yield
    if not given.only:
        found["far_away"] = far_away(folder / "far", given.seconds, peers=peers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
