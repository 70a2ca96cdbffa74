"""Deliveries on real Valkey to real targets: in order, at least once, under one id, past those that fail."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import example_handler
from tests.targets import Answer, target
from workers.courier import Courier
from workers.errors import InvalidSettings
from workers.identifiers import DeliverySubject, JobSubject
from workers.rooms import Rooms

MakeStation = Callable[..., Any]
QUICK = {"DELIVERY_RETRY_BASE": "10ms", "DELIVERY_TIMEOUT": "5s"}
WHOLE_STORY = ["job.completed", "render.kept", "render.kept", "job.finished"]


@contextmanager
def courier(station: Any, *, threads: int = 8, grace_s: float = 10, **how: Any) -> Iterator[None]:
    stop, services = threading.Event(), station.services
    running = Courier(services.ledger, services.attempts, Rooms(threads), **how)
    thread = threading.Thread(target=running.run, args=(stop,), kwargs={"grace_s": grace_s})
    thread.start()
    try:
        yield
    finally:
        stop.set()
        running.wake()
        thread.join()


def deliveries(station: Any, job_id: str) -> list[Any]:
    return list(station.view(job_id).deliveries)


def all_settled(station: Any, job_id: str) -> bool:
    return all(one.state != "pending" for one in deliveries(station, job_id))


def sometimes(n: int) -> Answer:
    return (500, {}) if n % 3 == 0 else (200, {})


def test_a_jobs_story_is_told_in_order_and_once_for_each_id(
    make_station: MakeStation, eventually: Callable[..., Any]
) -> None:
    with target(sometimes) as app:
        station = make_station({"shorts": 2}, DELIVERY_URL=app.url, **QUICK)
        with courier(station):
            views = [station.done(f"video-{n:06}", metadata={"n": n}) for n in range(5)]
            jobs = [view.summary.id for view in views]
            eventually(lambda: all(all_settled(station, job) for job in jobs))
    for n, job in enumerate(jobs):
        assert app.events(job) == WHOLE_STORY
        found = deliveries(station, job)
        assert [one.state for one in found] == ["delivered"] * 4
        assert [one.last_status for one in found] == [200] * 4
        mine = [one for one in app.received if one.payload["data"]["id"] == job]
        assert all(one.payload["data"]["metadata"] == {"n": n} for one in mine)
        assert Counter(one.id for one in mine) == {one.id: one.attempts for one in found}
    by_id = {one.id: {other.body for other in app.received if other.id == one.id} for one in app.received}
    assert all(len(bodies) == 1 for bodies in by_id.values())
    assert any(one.attempts > 1 for job in jobs for one in deliveries(station, job))


def test_what_each_event_tells(make_station: MakeStation, eventually: Callable[..., Any]) -> None:
    with target() as app:
        station = make_station({"shorts": 1}, DELIVERY_URL=app.url, **QUICK)
        with courier(station):
            view = station.done("video-000001")
            bad = station.done("render-fails-1").summary.id
            worse = station.done("job-fails-000001").summary.id
            job = view.summary.id
            eventually(lambda: all(all_settled(station, one) for one in (job, bad, worse)))
    told = {(one.payload["data"]["id"], one.event): one.payload["data"] for one in app.received}
    assert told[job, "job.completed"]["shorts"] == told[job, "job.completed"]["renders"] == 1
    kept = told[job, "render.kept"]["render"]
    (render,) = view.renders
    assert (kept["n"], kept["sha256"], kept["size"], kept["file"]) == (1, render.sha256, render.size, render.file)
    assert kept["short"] == render.short
    assert kept["render_id"] == render.render_id
    assert told[job, "job.finished"]["renders"] == {"total": 1, "kept": 1, "failed": 0}
    assert told[job, "job.finished"]["title"] == view.summary.title
    assert told[bad, "render.failed"]["render"]["reason"]
    assert told[bad, "job.finished"]["renders"] == {"total": 1, "kept": 0, "failed": 1}
    assert told[worse, "job.failed"]["reason"]


def test_a_job_may_have_an_address_of_its_own_or_none(
    make_station: MakeStation, eventually: Callable[..., Any]
) -> None:
    with target() as usual, target() as own:
        station = make_station({"shorts": 1}, DELIVERY_URL=usual.url, DELIVERY_EVENTS="job.finished", **QUICK)
        with courier(station):
            here = station.done("video-000001").summary.id
            there = station.done("video-000002", delivery=f"{own.url}/own").summary.id
            nowhere = station.done("video-000003", delivery="").summary.id
            eventually(lambda: usual.taken and own.taken)
    assert [usual.events(job) for job in (here, there, nowhere)] == [["job.finished"], [], []]
    assert [own.events(job) for job in (here, there, nowhere)] == [[], ["job.finished"], []]
    assert deliveries(station, nowhere) == []


def test_a_target_that_hangs_holds_up_nobody_else(make_station: MakeStation, eventually: Callable[..., Any]) -> None:
    released = threading.Event()

    def hang(_n: int) -> Answer:
        released.wait(30)
        return 200, {}

    with target(hang) as dead, target() as app:
        station = make_station({"shorts": 1}, DELIVERY_URL=app.url, **QUICK, DELIVERY_THREADS="4")
        with courier(station, threads=4):
            stuck = [station.done(f"video-{n:06}", delivery=dead.url).summary.id for n in range(6)]
            eventually(lambda: dead.count >= 1)
            job = station.done("video-100000").summary.id
            eventually(lambda: all_settled(station, job))
            assert app.events(job) == ["job.completed", "render.kept", "job.finished"]
            assert dead.taken == []
            assert not any(all_settled(station, one) for one in stuck)
            released.set()
            eventually(lambda: all(all_settled(station, one) for one in stuck))


def test_gone_parks_at_once_and_patience_ends(make_station: MakeStation, eventually: Callable[..., Any]) -> None:
    with target(lambda _: (410, {})) as gone, target(lambda _: (503, {})) as down:
        station = make_station({"shorts": 0}, DELIVERY_URL=gone.url, DELIVERY_PATIENCE="2s", **QUICK)
        with courier(station):
            job = station.done("video-000001").summary.id
            late = station.done("video-000002", delivery=down.url).summary.id
            eventually(lambda: all_settled(station, job) and all_settled(station, late))
    assert [(one.state, one.attempts, one.last_status) for one in deliveries(station, job)] == [("parked", 1, 410)] * 2
    first, second = deliveries(station, late)
    assert first.attempts > 2
    assert "last because: the target answered 503" in first.reason
    assert (second.state, second.attempts) == ("parked", 1)
    assert station.state(late) == "finished"
    assert station.events(late).count("delivery.parked") == 2


def test_what_was_parked_is_sent_again(make_station: MakeStation, eventually: Callable[..., Any]) -> None:
    with target(lambda n: (410, {}) if n < 2 else (200, {})) as app:
        station = make_station({"shorts": 0}, DELIVERY_URL=app.url, **QUICK)
        ledger = station.services.ledger
        with courier(station):
            job = station.done("video-000001").summary.id
            eventually(lambda: all_settled(station, job))
            parked = ledger.parked_deliveries(since_ms=0, most=10)
            assert parked == [DeliverySubject(JobSubject(job), n) for n in (1, 2)]
            assert ledger.parked_deliveries(since_ms=10**14, most=10) == []
            assert [ledger.redeliver(subject) for subject in parked] == [True, True]
            eventually(lambda: [one.state for one in deliveries(station, job)] == ["delivered"] * 2)
            assert ledger.parked_deliveries(since_ms=0, most=10) == []
            assert ledger.redeliver(parked[0])  # what was delivered can be sent once more
            eventually(lambda: len(app.received) == 5)
    assert len({one.id for one in app.received}) == 2


def test_a_stop_puts_back_what_it_cuts_off(make_station: MakeStation, eventually: Callable[..., Any]) -> None:
    released = threading.Event()

    def hang_once(n: int) -> Answer:
        if n == 0:
            released.wait(30)
        return 200, {}

    with target(hang_once) as app:
        station = make_station({"shorts": 0}, DELIVERY_URL=app.url, **QUICK)
        with courier(station, grace_s=0.1):
            job = station.done("video-000001").summary.id
            eventually(lambda: app.count == 1)
        assert "put_back" in station.events(job)
        with courier(station):
            eventually(lambda: all_settled(station, job))
        released.set()
        eventually(lambda: len(app.received) == 3)
        first = deliveries(station, job)[0]
        assert (first.state, first.attempts) == ("delivered", 1)  # what the first one had to say came too late


def test_one_that_never_comes_back_ends_its_courier_and_is_parked_after_three(make_station: MakeStation) -> None:
    released = threading.Event()

    def hang(_n: int) -> Answer:
        released.wait(60)
        return 200, {}

    with target(hang) as app:
        station = make_station({"shorts": 0}, DELIVERY_URL=app.url, DELIVERY_EVENTS="job.finished", **QUICK)
        job = station.done("video-000001").summary.id
        ledger, redis, ended = station.services.ledger, station.services.redis, threading.Semaphore(0)
        subject = DeliverySubject(JobSubject(job), 1)
        for _ in range(3):
            (line,) = redis.keys("sr:due:deliver@*")
            redis.zadd(line, {str(subject): 0})
            with courier(station, grace_s=0, hung_s=0.2, give_up=ended.release):
                assert ended.acquire(timeout=10)
        released.set()
    (found,) = deliveries(station, job)
    assert (found.state, found.reason) == (
        "parked",
        "its worker died 3 times in a row, last because: ran for more than 0.2 s",
    )
    assert not ledger.take_delivery([])


def test_a_silent_courier_is_missed_when_its_lease_lapses(make_station: MakeStation) -> None:
    station = make_station({"shorts": 0}, DELIVERY_URL="http://127.0.0.1:9/", DELIVERY_EVENTS="job.finished", **QUICK)
    job = station.done("video-000001").summary.id
    first = station.services.ledger.take_delivery([])
    assert station.services.ledger.take_delivery([]) == pytest.approx(30, abs=2)
    redis = station.services.redis
    redis.zadd(f"sr:due:deliver@{first.fields['target']}", {f"{job}!1": 1})
    second = station.services.ledger.take_delivery([])
    assert (second.attempt, station.events(job)[-1]) == (first.attempt + 1, "silent")


def test_a_handler_in_the_teams_own_package_is_called(
    make_station: MakeStation, eventually: Callable[..., Any]
) -> None:
    example_handler.forget()
    station = make_station({"shorts": 1}, HANDLER="tests.example_handler:handle", **QUICK)
    with courier(station):
        job = station.done("video-000001", metadata={"customer": 7}).summary.id
        eventually(lambda: all_settled(station, job))
    assert [event.type for event in example_handler.heard] == ["job.completed", "render.kept", "job.finished"]
    assert {event.job_id for event in example_handler.heard} == {job}
    assert example_handler.heard[0].metadata == {"customer": 7}
    assert [one.attempts for one in deliveries(station, job)] == [2, 1, 1]  # it fails at first


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        ("no such thing", "neither package.module:function nor installed"),
        ("tests.example_handler:nothing", "cannot be imported: AttributeError"),
        ("tests.no_such_module:handle", "cannot be imported: ModuleNotFoundError"),
        ("tests.example_handler:not_a_function", "is no function but a int"),
    ],
)
def test_a_handler_that_cannot_be_called_is_told_at_start(
    make_station: MakeStation, handler: str, problem: str
) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        make_station(HANDLER=handler)


def test_a_handler_and_an_address_are_not_both_meant(make_station: MakeStation) -> None:
    with pytest.raises(InvalidSettings, match="keep one of them"):
        make_station(HANDLER="tests.example_handler:handle", DELIVERY_URL="https://app.example.org/")
