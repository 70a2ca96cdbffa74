"""What the scripts count: as a pure reading of a hash, and along the way of real jobs."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import keys
from workers.census import Census
from workers.identifiers import JobSubject
from workers.measures import BOUNDS, LABELS, Histogram, Measures, read_measures

NAMES = st.lists(st.sampled_from(["step", "polls", "requests", "sum", "1", "15", "16", "x", "", "\xe9"]), max_size=4)


def measures(station, **of: object) -> Measures:
    return Census(station.services.redis, archive_s=1e9, **of).take().measures


def counted(measures: Measures, family: str) -> dict[tuple[str, ...], int]:
    return {labels: sum(one.counts) for labels, one in measures.histograms[family].items()}


def test_a_histogram_is_read_with_its_sum():
    found = read_measures({b"step|fetch|done|1": b"2", b"step|fetch|done|15": b"1", b"step|fetch|done|sum": b"2000005"})
    one = found.histograms["step"][("fetch", "done")]
    assert one == Histogram((2, *[0] * 13, 1), 2_000_005)
    assert one.cumulative == (2,) * 14 + (3,)


def test_every_family_is_there_before_anything_happened():
    nothing = read_measures({})
    assert nothing.histograms.keys() == BOUNDS.keys()
    assert nothing.counters.keys() == LABELS.keys() - BOUNDS.keys()


@pytest.mark.parametrize(
    "name",
    [b"", b"|", b"step", b"step|fetch|1", b"step|fetch|done|0", b"step|fetch|done|16", b"step|a|b|c|1", b"other|1",
     b'bytes|a"} 1', b"bytes|a\nevil 1", b"bytes|\xff", b"bytes|" + b"a" * 65, b"polls|a|1", b"bytes||"],
)  # fmt: skip
def test_what_is_none_of_ours_is_left_out(name: bytes):
    assert read_measures({name: b"1"}) == read_measures({})


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"nan", b"many", b"9" * 400, b"\xd9\xa3"])
def test_a_number_that_is_none_is_left_out(value: bytes):
    assert read_measures({b"bytes|video": value, b"polls|1": value}) == read_measures({})


@given(
    st.dictionaries(NAMES.map(lambda parts: "|".join(parts).encode()) | st.binary(max_size=20), st.binary(max_size=3))
)
def test_any_hash_can_be_read(found: Mapping[bytes, bytes]):
    read = read_measures(found)
    for family, of_family in read.histograms.items():
        assert all(len(one.counts) == len(BOUNDS[family]) + 1 for one in of_family.values())


def test_the_bounds_rise():
    assert all(list(bounds) == sorted(set(bounds)) for bounds in BOUNDS.values())


def test_a_job_on_its_way_is_measured(make_station):
    station = make_station(sandbox={"shorts": 2})
    job = station.done()
    assert job.summary.state == "finished"
    found = measures(station)
    steps = counted(found, "step")
    assert steps[("submit", "done")] == 1
    assert steps[("fetch", "done")] == 1
    assert steps[("render", "done")] == steps[("keep", "done")] == steps[("watch", "done")] == 2
    assert counted(found, "result") == counted(found, "kept") == {(): 1}
    assert counted(found, "polls") == {(): 2}
    assert found.histograms["polls"][()].sum == 2 + steps.get(("watch", "wait"), 0)
    kept = sum(render.size or 0 for render in job.renders)
    assert found.counters["bytes"] == {("result",): found.counters["bytes"][("result",)], ("video",): kept}
    assert found.counters["parked"] == {}


def test_requests_are_counted_by_what_was_asked_and_answered(make_station):
    station = make_station(sandbox={"shorts": 1})
    station.done()
    requests = Census(station.services.redis, archive_s=1e9).take().requests[""]
    books = requests.counters["requests"]
    assert [count for (route, _), count in books.items() if route == "POST /api/jobs"] == [1]
    assert books[("POST /api/render", "200")] == 1
    assert counted(requests, "request")[("GET /api/jobs/{id}",)] == 1
    assert sum(counted(requests, "request").values()) == sum(books.values())


def test_a_request_without_an_answer_has_no_code(make_station):
    station = make_station(SWIFTIA_BASE_URL="http://127.0.0.1:1")
    station.services.ledger.link("", "job_1", first_ms=0, by="watch")
    station.turn()
    requests = Census(station.services.redis, archive_s=1e9).take().requests[""]
    assert requests.counters["requests"] == {("GET /api/jobs/{id}", "none"): 1}


def claimed(station, job: str = "job_1"):
    station.services.ledger.link("", job, first_ms=0, by="watch")
    record = station.services.ledger.claim(JobSubject(job), "fetch")
    assert record is not None
    return record


@pytest.mark.parametrize(("crashed", "outcome"), [(True, "crashed"), (False, "put_back")])
def test_a_lost_attempt_is_counted_as_that(station, crashed, outcome):
    record = claimed(station)
    assert station.services.ledger.lost(record.subject, record.attempt, reason="killed", crashed=crashed)
    assert counted(measures(station), "step") == {("fetch", outcome): 1}


def test_what_is_parked_is_counted_by_its_state(station):
    record = claimed(station)
    station.services.ledger.move(record, "parked", outcome="failed", reason="a test says so")
    found = measures(station)
    assert counted(found, "step") == {("fetch", "failed"): 1}
    assert found.counters["parked"] == {("job", "waiting"): 1}


def test_what_came_too_late_is_not_counted(station):
    record = claimed(station)
    station.services.ledger.move(record, wait_s=1)
    station.services.ledger.move(record, wait_s=1)
    assert counted(measures(station), "step") == {("fetch", "done"): 1}


def test_an_intent_is_no_end(station):
    record = claimed(station)
    station.services.ledger.move(record, hold=True, fields={"title": "x"})
    assert counted(measures(station), "step") == {}


def test_a_clock_that_goes_back_gives_no_negative_time(station):
    record = claimed(station)
    station.services.redis.hset(keys.record(record.subject), "begun_at", 10**15)
    station.services.ledger.move(record, wait_s=1)
    one = measures(station).histograms["step"][("fetch", "done")]
    assert (one.counts[0], one.sum) == (1, 0)


def test_a_person_who_takes_a_week_measures_nothing(make_station):
    station = make_station(sandbox={"shorts": 2})
    job_id = station.done("render-fails-1").summary.subject.job_id
    record = keys.record(JobSubject(job_id))
    assert counted(measures(station), "kept") == {(): 1}
    station.services.redis.hincrby(record, "heard_at", -7 * 86_400_000)
    assert station.services.ledger.retry(JobSubject(job_id)) == 1
    station.until(lambda: station.state(job_id) == "finished")
    found = measures(station).histograms["kept"][()]
    assert (sum(found.counts), found.sum < 3_600_000) == (2, True)
