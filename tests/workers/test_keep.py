"""Bringing files home across broken connections, killed processes, wrong sizes and full disks."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis

from tests.conftest import Eventually
from tests.workers.smalldisk import filled, small_disk
from tests.workers.wire import Plan, Wire
from workers.clock import Clock
from workers.identifiers import JobSubject
from workers.paths import render_path

MIB = 1 << 20
MakeStation = Callable[..., Any]


@pytest.fixture
def wired(make_station: MakeStation) -> Iterator[Callable[..., tuple[Any, Wire]]]:
    """Make a station whose films come over a wire."""
    with ExitStack() as over:

        def make(film_bytes: int, **env: str) -> tuple[Any, Wire]:
            station = make_station({"shorts": 1, "film_bytes": str(film_bytes)}, **env)
            wire = over.enter_context(Wire(int(station.sandbox.url.rsplit(":", 1)[1])))
            move_films(station, wire)
            return station, wire

        yield make


def move_films(station: Any, wire: Wire) -> None:
    """Let the URLs of finished renders lead over the wire: watch writes them down, and here they are bent."""
    station.bend = lambda job_id: [
        station.services.redis.hset(key, "url", url.decode().replace(station.sandbox.url, wire.url))
        for key in station.services.redis.keys(f"sr:render:{job_id}/*")
        if (url := station.services.redis.hget(key, "url"))
    ]


def at_the_door(station: Any) -> str:
    """Submit a job, and work until its one render is done and its file is to be fetched."""
    job_id: str = station.submit()
    station.call(job_id)
    redis = station.services.redis
    while redis.hget(f"sr:render:{job_id}/1", "state") != b"keeping":
        station.clock.tick()
        for nudge in station.nudges():
            if nudge[0] != "keep":
                station.run(nudge)
    if hasattr(station, "bend"):
        station.bend(job_id)
    return job_id


def attempt(station: Any, job_id: str) -> None:
    """Do the next attempt to fetch the file now, whenever it is due, and as if a clock had passed all the time."""
    redis = station.services.redis
    redis.delete("sr:clock")
    redis.zadd("sr:due:keep", {f"{job_id}/1": 0})
    station.services.ledger.dispatch("files", most=1)
    for nudge in station.nudges():
        station.run(nudge)


def render_of(station: Any, job_id: str) -> dict[str, str]:
    found = station.services.redis.hgetall(f"sr:render:{job_id}/1")
    return {name.decode(): value.decode() for name, value in found.items()}


def is_whole(station: Any, job_id: str) -> bool:
    digest = hashlib.sha256()
    for piece in station.services.artifacts.stream(render_path(job_id, 1)):
        digest.update(piece)
    render = render_of(station, job_id)
    theirs = station.sandbox.books()["renders"][render["render_id"]]["sha256"]
    return digest.hexdigest() == render["sha256"] == theirs


def test_a_file_whose_first_download_breaks_is_fetched_once_all_in_all(make_station: MakeStation) -> None:
    station = make_station(MAX_ATTEMPTS="1")
    view = station.done("cut-file")
    assert view.summary.state == "finished"
    books = station.sandbox.books()
    for render in view.renders:
        row = books["files"][render.render_id]
        assert (row["requests"], row["bytes"]) == (2, books["renders"][render.render_id]["file_bytes"])
        assert render.sha256 == books["renders"][render.render_id]["sha256"]


KEEPER = """
import os, sys
from redis import Redis
from workers.identifiers import parse_subject
from workers.settings import Settings
from workers.wiring import build
services = build(Settings.from_env(os.environ), Redis.from_url(os.environ["REDIS_URL"]))
services.attempts.run("keep", parse_subject(sys.argv[1]), int(sys.argv[2]))
if os.path.exists("/proc/self/status"):
    sys.stdout.write(open("/proc/self/status").read())
"""


def test_a_killed_process_leaves_what_came_for_the_next(wired: Any, redis_url: str, eventually: Any) -> None:
    station, wire = wired(12 * MIB)
    job_id = at_the_door(station)
    plan = Plan(down=10 * MIB, hold=threading.Event())
    wire.plans.append(plan)
    settings = station.services.settings
    env = {**os.environ, "REDIS_URL": redis_url, "DATA_DIR": str(settings.data_dir), "TRUSTED_NETWORKS": "127.0.0.0/8"}
    command = [sys.executable, "-c", KEEPER, f"{job_id}/1", render_of(station, job_id)["attempt"]]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as keeper:  # noqa: S603 - our own words
        part = station.data_dir / "artifacts" / "jobs" / job_id / "renders" / ".1.mp4.part"
        eventually(lambda: part.exists() and part.stat().st_size > 9 * MIB, 30)
        keeper.send_signal(signal.SIGKILL)
    assert station.services.artifacts.size(render_path(job_id, 1)) is None
    came = wire.down
    attempt(station, job_id)
    assert is_whole(station, job_id)
    assert wire.down - came < 5 * MIB, "it goes on at the last mark, 8 MiB on"
    assert station.state(job_id) == "finished"


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_a_large_file_is_brought_home_by_a_small_process(
    wired: Any, redis_url: str, request: pytest.FixtureRequest, place: str
) -> None:
    store = {"STORAGE_URL": f"s3://{request.getfixturevalue('bucket')}"} if place == "s3" else {}
    station, wire = wired(64 * MIB, **store)
    job_id = at_the_door(station)
    wire.plans.append(Plan(down=20 * MIB))
    data_dir = str(station.services.settings.data_dir)
    env = {**os.environ, **store, "REDIS_URL": redis_url, "DATA_DIR": data_dir, "TRUSTED_NETWORKS": "127.0.0.0/8"}
    command = [sys.executable, "-c", KEEPER, f"{job_id}/1", render_of(station, job_id)["attempt"]]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own words
    assert station.state(job_id) == "finished"
    assert wire.connections == 2
    assert wire.down < 65 * MIB
    peak = re.search(r"VmHWM:\s+(\d+) kB", said)
    if peak is None:
        pytest.skip("only Linux tells how large a process was")
    assert int(peak[1]) * 1024 < 150 * MIB


def test_an_attempt_that_came_a_good_deal_further_has_not_failed(wired: Any) -> None:
    station, wire = wired(24 * MIB, MAX_ATTEMPTS="1")
    wire.usual = lambda: Plan(down=2 * MIB)
    job_id = at_the_door(station)
    sizes = []
    while station.state(job_id) == "rendering":
        attempt(station, job_id)
        sizes.append(int(render_of(station, job_id).get("brought", "0")) // MIB)
    assert station.state(job_id) == "finished"
    assert len(sizes) == 3
    assert sizes[0] >= 8
    assert sizes[1] >= 16
    assert wire.down < 25 * MIB
    assert is_whole(station, job_id)
    assert "brought" not in render_of(station, job_id)


def test_one_that_hardly_did_has(wired: Any) -> None:
    station, wire = wired(12 * MIB, MAX_ATTEMPTS="2")
    wire.usual = lambda: Plan(down=MIB // 2)
    job_id = at_the_door(station)
    attempt(station, job_id)
    assert render_of(station, job_id)["tries"] == "1"
    attempt(station, job_id)
    assert station.state(job_id) == "parked"
    wire.usual = Plan
    station.services.ledger.retry(JobSubject(job_id))
    station.until(lambda: station.settled(job_id))
    assert is_whole(station, job_id)
    assert wire.down < 13 * MIB


def test_a_file_of_another_size_is_asked_about_again_and_parked_after_three_times(make_station: MakeStation) -> None:
    station = make_station({"shorts": 1})
    view = station.done("wrong-size")
    render = view.renders[0]
    assert (view.summary.state, render.state) == ("parked", "parked")
    assert "3 times in a row" in (render.reason or "")
    assert "should have" in (render.reason or "")
    raw = render_of(station, view.summary.id)
    assert (raw["polls"], raw["wrong"]) == ("2", "2")
    assert not [path for path in station.services.artifacts.list_job(view.summary.id) if path.endswith(".mp4")]
    assert [part.stat().st_size for part in station.data_dir.rglob("*.part")] == [0]
    station.services.ledger.retry(JobSubject(view.summary.id))
    assert "wrong" not in render_of(station, view.summary.id)
    station.until(lambda: station.settled(view.summary.id))
    assert render_of(station, view.summary.id)["wrong"] == "2"


def test_a_link_to_what_is_not_kept_stands_in_the_job(make_station: MakeStation) -> None:
    station = make_station(KEEP_VIDEOS="false")
    view = station.done()
    theirs = station.sandbox.books()["renders"]
    for render, shown in zip(view.renders, view.as_json([])["renders"], strict=True):
        assert (render.state, render.file, shown["file"]) == ("done", None, None)
        assert render.url == shown["url"] == theirs[render.render_id]["url"]


def test_and_none_to_what_is(station: Any) -> None:
    view = station.done()
    assert {(render.url, bool(render.file)) for render in view.renders} == {(None, True)}


# A full disk.


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "data", size=16 * MIB) as folder:
        yield folder


def test_a_disk_that_fills_up_in_the_middle_costs_no_try_and_no_byte(
    small: Path, wired: Any, eventually: Eventually
) -> None:
    station, wire = wired(6 * MIB, MAX_ATTEMPTS="1", MIN_FREE_BYTES="1M")
    job_id = at_the_door(station)
    plan = Plan(down=2 * MIB, hold=threading.Event())
    wire.plans.append(plan)
    working = threading.Thread(target=attempt, args=(station, job_id))
    working.start()
    assert plan.held.wait(20)
    eventually(lambda: sum(part.stat().st_size for part in small.rglob("*.part")) > MIB)
    with filled(small, leaving=MIB // 2):
        plan.hold.set()
        working.join()
        render = render_of(station, job_id)
        assert (render["state"], render["tries"]) == ("keeping", "0")
        assert "No space left" in render["reason"]
        assert "No space left" in station.view(job_id).renders[0].reason
        attempt(station, job_id)
        assert "are to stay free" in render_of(station, job_id)["reason"]
    came = wire.down
    attempt(station, job_id)
    assert station.state(job_id) == "finished"
    assert station.view(job_id).renders[0].reason is None
    assert wire.down - came < 5 * MIB
    assert is_whole(station, job_id)


def test_a_full_disk_pauses_the_lane_and_says_so_once(small: Path, make_station: MakeStation, redis: Redis) -> None:
    station = make_station({"shorts": 1}, MAX_ATTEMPTS="1", MIN_FREE_BYTES="1M")
    job_id = at_the_door(station)
    redis.zadd("sr:due:keep", {f"{job_id}/1": 0})
    with structlog.testing.capture_logs() as logs:
        with filled(small, leaving=MIB // 2):
            assert [station.clock.tick() for _ in range(5)][-1] >= 0.1, "it does not spin"
            assert list(station.nudges()) == []
            assert redis.hexists("sr:clock", "files"), "the lane has a clock all the same"
        station.clock.tick()
        assert [nudge[0] for nudge in station.nudges()] == ["keep"]
    told = [entry for entry in logs if entry["event"].startswith("storage")]
    assert [entry["event"] for entry in told] == ["storage.paused", "storage.resumed"]
    assert told[0]["free_bytes"] < told[0]["min_free_bytes"] == MIB <= told[1]["free_bytes"]


def test_a_file_that_does_not_fit_waits_alone(small: Path, make_station: MakeStation) -> None:
    station = make_station({"shorts": 1, "film_bytes": f"{12 * MIB}"}, MAX_ATTEMPTS="1", MIN_FREE_BYTES="5M")
    large = at_the_door(station)
    attempt(station, large)
    assert "are needed" in render_of(station, large)["reason"]
    assert station.sandbox.books(hashes=False)["files"] == {}
    station.sandbox.configure(film_bytes="100000-200000")
    assert station.done("another-one").summary.state == "finished"
    assert station.state(large) == "rendering"
    assert small.is_mount()


def test_no_request_is_spent_on_a_result_that_cannot_be_kept(small: Path, make_station: MakeStation) -> None:
    station = make_station({"shorts": 1}, MAX_ATTEMPTS="1", MIN_FREE_BYTES="1M")
    job_id = station.submit()
    station.call(job_id)
    with filled(small):
        station.turn()
        assert station.state(job_id) == "fetching"
        assert "GET /api/jobs/{id}" not in station.sandbox.books()["requests"]
    station.services.redis.zadd("sr:due:fetch", {job_id: 0})
    station.until(lambda: station.settled(job_id))
    assert station.state(job_id) == "finished"


def test_small_things_may_use_the_spare_bytes(small: Path, make_station: MakeStation) -> None:
    station = make_station({"shorts": 0}, MIN_FREE_BYTES="4M")
    with filled(small, leaving=3 * MIB):
        assert station.done().summary.state == "finished"


def test_callbacks_wait_in_the_ledger_while_not_a_byte_is_free(small: Path, make_station: MakeStation) -> None:
    station = make_station({"shorts": 0}, MIN_FREE_BYTES="1M")
    job_id = station.done().summary.id
    station.services.ledger.accept(ref="", job_id=job_id, receipt="late", digest="d", meta={}, body=b"late")
    with filled(small):
        station.clock.housekeep()
        assert station.services.ledger.take_bodies(JobSubject(job_id)) == {"late": b"late"}
    station.clock.housekeep()
    assert station.services.ledger.take_bodies(JobSubject(job_id)) == {}


def test_a_clock_that_starts_on_a_full_disk_pauses_too(small: Path, make_station: MakeStation, redis: Redis) -> None:
    station = make_station(MIN_FREE_BYTES="1M")
    services = station.services
    with filled(small), structlog.testing.capture_logs() as logs:
        Clock(services.ledger, services.budgets, services.artifacts, redis).tick()
    assert [entry["event"] for entry in logs] == ["storage.paused"]
