"""``python -m tests.workers.ledgers FILE``: take the service through all that a ledger can hold, and write that down.

One such file is kept for each layout that was ever released. ``tests/workers/test_earlier_ledgers.py`` reads them,
carries on from them and erases from them. What the attic and the spool leave behind is made of it by ``left_behind``.
"""

import logging
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import structlog
from redis import Redis

from tests.targets import Answer, target
from tests.workers.conftest import FAST, Station
from tests.workers.ledgers import dumps
from workers import keys
from workers.clock import Clock
from workers.courier import Courier
from workers.identifiers import JobSubject, RefSubject
from workers.rooms import Rooms
from workers.sandbox import Sandbox, SandboxConfig
from workers.settings import Settings
from workers.valkey import EmbeddedValkey
from workers.wiring import build
from workers.work import UPSTREAM


class Told:
    """What the team's application answers."""

    answer: Answer = (204, {})

    def __call__(self, _n: int) -> Answer:
        return self.answer


def fill(station: Station, told: Told) -> None:
    services, ledger = station.services, station.services.ledger
    courier = Courier(ledger, services.attempts, Rooms(1))

    def deliver() -> None:
        stop = threading.Event()
        thread = threading.Thread(target=courier.run, args=(stop,), kwargs={"grace_s": 30})
        thread.start()
        line = f"sr:due:deliver@{services.redis.zrange(keys.TARGETS, 0, 0)[0].decode()}"
        while any(at <= _now_ms(services.redis) for _, at in services.redis.zrange(line, 0, 9, withscores=True)):
            stop.wait(0.02)
        stop.set()
        courier.wake()
        thread.join()

    more = {"metadata": {"customer": 7, "order": "A-1"}}
    for number in range(2):
        station.done(f"finished-{number}", idempotency_key=f"order-{number}", **more)
    station.done("render-fails-1")
    station.done("job-fails-01")
    station.done("no-shorts-01")
    station.done("every-render-fails-1")
    parked = station.done("wrong-size-01")
    assert parked.summary.state == "parked"
    deliver()

    told.answer = (410, {})
    station.done("not-wanted-1")
    deliver()
    told.answer = (503, {})
    station.done("target-away-1")
    deliver()

    services.erasure.erase(JobSubject(str(station.done("erased-0001").summary.id)), why="asked")
    # A finished job that was called once more, with other words: its body waits for the clock.
    late = station.view(station.done("called-late-1").summary.id or "").summary
    station.call(str(late.id), b'{"late": true}')
    services.redis.delete(f"rq:queue:{UPSTREAM}")
    _under_way(station)
    _refs(station)
    services.redis.delete(*services.redis.keys("sr:budget*"))


def _under_way(station: Station) -> None:
    """Waiting, fetching, rendering with one kept, and a submission that waits for its turn."""
    services, ledger = station.services, station.services.ledger
    station.submit("waiting-0001")
    fetching = station.submit("fetching-001")
    station.call(fetching)
    (nudge,) = station.nudges()
    assert ledger.begin(JobSubject(fetching), nudge[0], nudge[2]) is not None
    rendering = station.submit("rendering-01")
    station.call(rendering)
    station.until(lambda: [one.state for one in station.view(rendering).renders].count("kept") == 1)
    services.submissions.submit({"functionName": "VideoShorts", "youtubeVideoId": "queued-00001"}, wait=False)


def _refs(station: Station) -> None:
    """Handed out, called without a job, joined with a job that was submitted elsewhere; a refused submission."""
    services, ledger = station.services, station.services.ledger
    services.links.callback_url(metadata={"mine": True})
    called, _ = services.links.callback_url()
    ledger.accept(ref=called, job_id="", receipt="rc-of-a-ref", digest="d1", meta={"size": 2}, body=b"{}")
    joined, _ = services.links.callback_url(metadata={"mine": True})
    ledger.link(joined, "job_elsewhere", first_ms=600_000, by="watch", account="", unnamed="")
    refused = services.submissions.submit(
        {"functionName": "VideoShorts", "youtubeVideoId": "no-credit-01"}, wait=False
    ).ref
    record = ledger.begin(RefSubject(refused), "submit", 1)
    assert record is not None
    services.attempts.carry_out(record)
    ledger.keep_unidentified({"receipt": "rc-of-nobody"}, b"\xff\x00 no job id")


def _now_ms(redis: Redis) -> float:
    seconds, micros = redis.time()
    return seconds * 1000 + micros / 1000


def main(path: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    told = Told()
    with (
        tempfile.TemporaryDirectory() as folder,
        target(told) as app,
        Sandbox(SandboxConfig(port=0, seed="1", **FAST)) as peer,
    ):
        server = EmbeddedValkey(Path(folder) / "valkey")
        server.start()
        env = {
            "REDIS_URL": server.url,
            "DATA_DIR": f"{folder}/data",
            "SWIFTIA_API_KEY": "sandbox-key",
            "SWIFTIA_BASE_URL": peer.url,
            "SWIFTIA_RATE_LIMIT": "1000/1s",
            "TRUSTED_NETWORKS": "127.0.0.0/8",
            "RETRY_BASE": "20ms",
            "RETRY_CAP": "50ms",
            "DELIVERY_URL": app.url,
        }
        with closing(Redis.from_url(server.url)) as redis:
            services = build(Settings.from_env(env), redis)
            clock = Clock(services.ledger, services.budgets, services.artifacts, redis)
            fill(Station(services, peer, clock, Path(folder)), told)
            commands = dumps.dump(redis)
        server.stop()
    dumps.write(path, commands)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
