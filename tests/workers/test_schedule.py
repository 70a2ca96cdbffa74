"""When to look again: bounded on both sides for any report, and few looks over any life."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers import schedule
from workers.renders import RenderPhase, RenderReport

REPORTS = st.builds(
    RenderReport,
    phase=st.sampled_from([RenderPhase.QUEUED, RenderPhase.RUNNING]),
    progress=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    queue_position=st.none() | st.integers(-(2**70), 2**70),
)
AGES = st.floats(0, schedule.GIVE_UP_AFTER_S)
DAY = 86_400.0


def running(progress: float | None) -> RenderReport:
    return RenderReport(RenderPhase.RUNNING, progress=progress)


def queued(position: int | None) -> RenderReport:
    return RenderReport(RenderPhase.QUEUED, queue_position=position)


@given(report=REPORTS, age=AGES)
def test_a_look_is_never_too_soon_nor_too_late(report: RenderReport, age: float) -> None:
    seconds = schedule.next_look(report, age_s=age)
    assert math.isfinite(seconds)
    assert schedule.RENDER_FLOOR_S <= seconds <= schedule.SILENT_CAP_S
    assert seconds <= max(schedule.RENDER_CAP_S, age / 60)


@pytest.mark.parametrize(
    ("report", "most"),
    [
        (queued(1), 90),
        (queued(None), 90),
        (queued(20), 90),
        (running(None), 90),
        (running(0.999), 100),
        (running(1.0), 100),
    ],
)
def test_a_render_that_is_stuck_costs_few_looks_an_hour(report: RenderReport, most: int) -> None:
    assert looks(report, until_s=3600) <= most


@settings(max_examples=30, deadline=None)
@given(report=REPORTS)
def test_the_looks_over_the_longest_life_are_bounded(report: RenderReport) -> None:
    assert looks(report, until_s=schedule.GIVE_UP_AFTER_S) < 3000


FAR_TOO_MANY = 10_000


def looks(report: RenderReport, *, until_s: float) -> int:
    age, count = schedule.FIRST_LOOK_S, 0
    while age < until_s and count < FAR_TOO_MANY:
        age += schedule.next_look(report, age_s=age)
        count += 1
    return count


@given(length=st.floats(10, 600))
def test_a_steady_render_is_seen_soon_after_its_end_and_rarely_before(length: float) -> None:
    age, count = schedule.FIRST_LOOK_S, 0
    while age < length:
        age += schedule.next_look(running(age / length), age_s=age)
        count += 1
    assert age - length <= max(1.0, length / 8)
    assert count <= 2 + length / schedule.RENDER_CAP_S


def test_a_place_in_the_queue_is_turned_into_time() -> None:
    assert schedule.next_look(queued(1), age_s=30) < schedule.next_look(queued(5), age_s=30)


def test_what_has_just_begun_is_looked_at_soon() -> None:
    for report in (queued(20), running(None), running(0.0)):
        assert schedule.next_look(report, age_s=0) == schedule.RENDER_FLOOR_S


@given(heard=AGES)
def test_a_job_that_was_called_about(heard: float) -> None:
    assert schedule.JOB_FLOOR_S <= schedule.next_fetch(heard_s=heard) <= schedule.JOB_CAP_S


@given(age=AGES, after=st.floats(0, 30 * DAY))
def test_a_job_that_nobody_called_about(age: float, after: float) -> None:
    seconds = schedule.next_reconcile(age_s=age, after_s=after)
    assert max(after, schedule.JOB_FLOOR_S) <= seconds <= max(after, schedule.SILENT_CAP_S)


def test_a_silent_job_is_looked_at_ever_more_slowly() -> None:
    age, waits = 600.0, []
    while age < schedule.GIVE_UP_AFTER_S:
        waits.append(schedule.next_reconcile(age_s=age, after_s=600))
        age += waits[-1]
    assert waits == sorted(waits)
    assert len(waits) < 2200
