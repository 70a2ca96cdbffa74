import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.desk import JOB, REF, Desk
from workers.almanac import Almanac
from workers.hours import (
    COUNTERS,
    HOUR_S,
    KEPT_S,
    LAST_BUCKET,
    Hour,
    bucket_of,
    numbers,
    percentile_s,
    read_hour,
    series,
    together,
    upper_s,
)

times_ms = st.floats(0, 1e12)
buckets = st.integers(0, LAST_BUCKET)
took = st.dictionaries(buckets, st.integers(0, 50), max_size=20)


@pytest.fixture
def desk(redis):
    return Desk(redis)


@given(times_ms)
def test_what_a_bucket_takes_lies_within_it(ms):
    bucket = bucket_of(ms)
    assert bucket == LAST_BUCKET or ms / 1000 <= upper_s(bucket) * (1 + 1e-6)
    assert bucket == 0 or ms / 1000 > upper_s(bucket - 1) * (1 - 1e-6)


@given(st.lists(st.floats(0.06, 500_000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_percentile_is_off_by_less_than_a_bucket(seconds, part):
    counted: dict[int, int] = {}
    for one in seconds:
        counted[bucket_of(one * 1000)] = counted.get(bucket_of(one * 1000), 0) + 1
    exact = sorted(seconds)[math.ceil(part * len(seconds)) - 1]
    found = percentile_s(counted, part)
    assert found is not None
    assert exact / 1.2 <= found <= exact * 1.2


@given(took, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise(counted, one, other):
    low, high = percentile_s(counted, min(one, other)), percentile_s(counted, max(one, other))
    if not sum(counted.values()):
        assert low is None
    else:
        assert low is not None
        assert high is not None
        assert low <= high


@given(st.dictionaries(st.binary(max_size=12), st.binary(max_size=20)))
def test_whatever_stands_in_redis_is_read_or_left_out(fields):
    hour = read_hour(7, fields)
    assert hour.start == 7 * HOUR_S
    assert set(hour.counts) <= set(COUNTERS)
    assert all(0 <= bucket <= LAST_BUCKET for bucket in hour.took)


@given(st.lists(st.builds(Hour, st.just(0), st.dictionaries(st.sampled_from(COUNTERS), st.integers(0, 9)), took)))
def test_adding_up_loses_nothing(hours):
    added = together(hours)
    for name in COUNTERS:
        assert added[name] == sum(series(hours, name))
    assert sum(added.took.values()) == sum(sum(hour.took.values()) for hour in hours)


def test_hours_are_numbered_from_the_epoch():
    assert numbers(3 * HOUR_S - 0.5, 2) == [1, 2]


# What the ledger's scripts count


def of_this_hour(desk):
    number = desk.at // 3_600_000
    return read_hour(number, desk.redis.hgetall(f"sr:hour:{number}"))


def test_callbacks_and_ends_are_counted_once(desk):
    desk.accept(job="job_1", receipt="rc1")
    desk.accept(job="job_1", receipt="rc1")  # the same one again
    desk.accept(job="job_1", receipt="rc2")
    desk.ledger.move(desk.begin(), "failed", fields={"reason": "no speech"})
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=0)
    desk.ledger.move(desk.begin(), "parked", reason="lost")
    assert of_this_hour(desk).counts == {"callbacks": 1, "repeated": 1, "failed": 1, "parked": 1}
    assert desk.redis.ttl(f"sr:hour:{desk.at // 3_600_000}") in range(KEPT_S - 60, KEPT_S + 1)


@pytest.mark.parametrize("ms", [0, 50, 51, 1000, 90_000, 3_000_000])
def test_the_time_from_a_callback_to_a_kept_video_is_counted_as_it_is_read(desk, ms):
    desk.fetched(1)
    for state in ("starting", "queued", "keeping"):
        desk.render_step(state)
    desk.at += ms
    desk.render_step("kept")
    hour = of_this_hour(desk)
    assert hour.took == {bucket_of(ms): 1}
    assert (hour["kept"], hour["finished"]) == (1, 1)


def test_a_result_without_a_render_is_kept_with_itself(desk):
    desk.accept(job="job_1")
    record = desk.begin()
    desk.at += 2000
    desk.ledger.plan(record, [], {})
    assert of_this_hour(desk).took == {bucket_of(2000): 1}


def test_where_no_callback_came_nothing_is_timed(desk):
    desk.ledger.link("", "job_1", first_ms=0, by="watch")
    desk.tick()
    desk.ledger.plan(desk.begin(), [], {})
    assert of_this_hour(desk).took == {}
    assert of_this_hour(desk)["finished"] == 1


def test_what_a_person_sets_going_is_timed_from_then_on(desk):
    desk.fetched(1)
    desk.tick()
    desk.ledger.move(desk.begin(), "parked", reason="look at it")
    desk.at += 5 * HOUR_S * 1000
    desk.ledger.retry(JOB)
    for state in ("starting", "queued", "keeping"):
        desk.render_step(state)
    desk.at += 3000
    desk.render_step("kept")
    assert of_this_hour(desk).took == {bucket_of(3000): 1}


def test_the_almanac_reads_the_day_by_the_clock_of_redis(redis):
    redis.hincrby(f"sr:hour:{int(redis.time()[0]) // HOUR_S}", "finished", 3)
    day = Almanac(redis).day()
    assert [hour["finished"] for hour in day][-2:] in ([0, 3], [3, 0])  # the hour may have turned meanwhile
    assert len(day) == 24
    assert [after.start - before.start for before, after in pairwise(day)] == [HOUR_S] * 23
