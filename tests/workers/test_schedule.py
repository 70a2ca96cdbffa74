"""When a job is looked at again: bounded on both sides at any age, and few looks over any life."""

import doctest
import math

from hypothesis import given
from hypothesis import strategies as st

from workers import schedule

DAY = 86_400.0
# Redis's clock may go back: what was noted before lies ahead then, and its age is less than nothing.
LAST = schedule.give_up_after(archive_s=180 * DAY)
AGES = st.floats(-30 * DAY, LAST)


def test_the_examples() -> None:
    assert doctest.testmod(schedule).failed == 0


@given(age=AGES)
def test_a_job_that_was_called_about_is_looked_at_within_minutes(age: float) -> None:
    low, high = schedule.after_a_callback(heard_s=age)
    assert schedule.JOB_FLOOR_S == low < high <= schedule.JOB_CAP_S


@given(age=AGES, after=st.floats(0, 30 * DAY))
def test_a_silent_job_is_looked_at_ever_more_rarely_but_looked_at(age: float, after: float) -> None:
    low, high = schedule.without_a_callback(age_s=age, after_s=after)
    later = schedule.without_a_callback(age_s=age + DAY, after_s=after)
    assert math.isfinite(high)
    assert schedule.JOB_FLOOR_S <= low <= high <= max(schedule.SILENT_CAP_S, after)
    assert later >= (low, high)


def test_the_looks_over_the_longest_silence_are_bounded() -> None:
    age, looks = 600.0, 0
    while age < schedule.give_up_after(archive_s=90 * DAY):
        age += schedule.without_a_callback(age_s=age, after_s=600.0)[1]
        looks += 1
    assert looks < 2200


@given(days=st.integers(1, 180))
def test_looking_ends_before_the_archive_and_the_warning_comes_before_that(days: int) -> None:
    archive_s = days * DAY
    youngest_s, oldest_s = schedule.archived_soon(archive_s=archive_s)
    assert 0 < youngest_s < schedule.give_up_after(archive_s=archive_s) < oldest_s == archive_s
