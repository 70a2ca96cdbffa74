"""``make bench-door``: how fast a callback is acknowledged, ours beside four others, in one interleaved run.

    nothing    gunicorn and Flask, and nothing that is kept: the ceiling
    tutorial   ``queue.enqueue`` in a view of Flask
    celery     ``.delay()`` in a view of Flask
    arq        FastAPI on uvicorn, ``enqueue_job``
    ours       by how the Redis behind it writes, and with one replica to wait for

Two server processes each. Every request is a callback that never came before, with a body of some 600 bytes. All are
up all the time; what is not measured does nothing. Ratios are within a round, and the median of the rounds is shown.
"""

import argparse
import contextlib
import itertools
import json
import os
import secrets
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.delays import delayed
from tests.bench.knocks import Answers, Knocker
from tests.bench.stalls import KEY, Stall, Store, all_up, cpu_of, gunicorn, ours, uvicorn
from tests.chaos.machine import ROOT
from workers.tokens import new_ref, token

PEERS = ROOT / ".venv" / "bench" / "bin" / "python"
CONNECTIONS = 32
ROUND_TRIP_S = 0.002


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


def one_round(stall: Stall, seconds: float, guess: int) -> dict[str, Any]:
    """The peak first, then half of it."""
    made = requests(guess)
    if stall.store:
        stall.store.clear()
    with contextlib.closing(Knocker(stall.port, CONNECTIONS)) as knocker:
        knocker.closed(made, 0.5)
        web, redis = stall.cpu(), cpu_of(stall.store.pid) if stall.store else 0.0
        peak = knocker.closed(made, seconds)
        web, redis = stall.cpu() - web, (cpu_of(stall.store.pid) - redis) if stall.store else 0.0
        half = knocker.paced(made, seconds, peak.rate / 2)
    return {
        "rate": peak.rate,
        "web_ms": web / max(1, len(peak.late)) * 1000,
        "redis_ms": redis / max(1, len(peak.late)) * 1000,
        "p50": peak.percentile(0.5),
        "p99": peak.percentile(0.99),
        "half_p50": half.percentile(0.5),
        "half_p99": half.percentile(0.99),
        "rss": stall.largest_rss(),
        "refused": {**peak.refused, **half.refused},
        "broken": peak.broken + half.broken,
        "sent": len(peak.late) + len(half.late),
    }


def far_away(folder: Path, seconds: float, *, peers: bool) -> dict[str, float]:
    """The median latency of one connection where each command to Redis takes 2 ms there and back, in milliseconds."""
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
        late: dict[str, list[float]] = {stall.name: [] for stall in stalls}
        with all_up([store], stalls):
            for _, stall in itertools.product(range(3), stalls):
                with contextlib.closing(Knocker(stall.port, 1)) as knocker:
                    made = requests(int(seconds * 700))
                    knocker.closed(made, 0.3)
                    late[stall.name] += knocker.closed(made, seconds / 3).late
    return {name: statistics.median(each) * 1000 for name, each in late.items()}


def pages(stall: Stall, number: int, seconds: float, rate: float) -> dict[str, float]:
    """p99 at ``rate`` with so many open pages that are told of each change, beside that without any."""
    found: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(3):
        for kind, ninetynine in found.items():
            with contextlib.ExitStack() as stack:
                for _ in range(number if kind == "with" else 0):
                    stack.enter_context(_page(stall.port))
                with contextlib.closing(Knocker(stall.port, CONNECTIONS)) as knocker:
                    answers: Answers = knocker.paced(requests(int(seconds * rate) + 10), seconds, rate)
                    ninetynine.append(answers.percentile(0.99))
    return {kind: statistics.median(each) for kind, each in found.items()}


@contextlib.contextmanager
def _page(port: int) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        token_line = "Authorization: Bearer an-admin-token-of-the-bench"
        sock.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{token_line}\r\n\r\n".encode())
        assert b" 200 " in sock.recv(4096)
        # What it is told it does not read away: some 200 bytes a change, less than its socket takes in.
        yield


HEADS = ["", "req/s", ": nothing", "web ms", ": tutorial", "redis ms", "p50", "p99", "half p99", "RSS MiB", "not 2xx"]


def rows(rounds: list[dict[str, dict[str, Any]]]) -> list[list[str]]:
    def median(name: str, key: str, base: str | None = None) -> float:
        return statistics.median(each[name][key] / (each[base][key] if base else 1.0) for each in rounds)

    found = []
    for name in rounds[0]:
        refused = sum(sum(each[name]["refused"].values()) + each[name]["broken"] for each in rounds)
        found.append([
            name,
            f"{median(name, 'rate'):.0f}",
            f"{median(name, 'rate', 'nothing'):.2f}",
            f"{median(name, 'web_ms'):.3f}",
            f"{median(name, 'web_ms', 'tutorial, no file'):.2f}",
            f"{median(name, 'redis_ms'):.3f}",
            *(f"{median(name, key):.1f}" for key in ("p50", "p99", "half_p99", "rss")),
            str(refused),
        ])  # fmt: skip
    return found


def show(table: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        sys.stdout.write("  ".join(cells) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench-door", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each part of a round lasts (5)")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="also with N open pages of the console")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="those with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args(arguments)
    number, seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
    peers = PEERS.exists()
    if not peers:
        sys.stdout.write(
            "without celery and arq, which need fastapi, uvicorn, arq, celery, flask and gunicorn in .venv/bench\n"
        )
    with tempfile.TemporaryDirectory(prefix="door-", dir="/tmp") as name:
        found = run(Path(name), given, number, seconds, peers=peers)
    show([HEADS, *rows(found["rounds"])])
    for title in ("far_away", "pages"):
        if found.get(title):
            sys.stdout.write(f"{title}: {json.dumps(found[title])}\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def run(folder: Path, given: argparse.Namespace, number: int, seconds: float, *, peers: bool) -> dict[str, Any]:
    held = contest(folder, peers=peers)
    words = [*given.only, "nothing", "tutorial, no file"] if given.only else []
    stalls = [stall for stall in held.stalls if not words or any(word in stall.name for word in words)]
    rounds: list[dict[str, dict[str, Any]]] = []
    found: dict[str, Any] = {"cpus": os.cpu_count(), "load": os.getloadavg(), "rounds": rounds}
    with all_up(list(held.stores.values()), stalls):
        rates = dict.fromkeys((stall.name for stall in stalls), 3000.0)
        for _ in range(number):
            rounds.append({})
            for stall in stalls:
                guess = int(rates[stall.name] * 1.3 * (1.5 * seconds + 0.7))
                rounds[-1][stall.name] = one_round(stall, seconds, guess)
                rates[stall.name] = max(500.0, rounds[-1][stall.name]["rate"])
            show([HEADS, *rows(rounds[-1:])])
        if given.pages:
            stall = next(stall for stall in stalls if stall.name == "ours, always")
            found["pages"] = pages(stall, given.pages, seconds, rates[stall.name] / 4)
    if not given.only:
        found["far_away"] = far_away(folder / "far", seconds, peers=peers)
    found["load_after"] = os.getloadavg()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
