"""Files at Swiftia are deleted once all of a job is kept here, and not a moment sooner."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog

from workers.errors import InvalidSettings, UpstreamRefused
from workers.freeing import Freer
from workers.identifiers import JobSubject

MakeStation = Callable[..., Any]


@pytest.fixture
def station(make_station: MakeStation) -> Any:
    return make_station({"shorts": 2}, FREE_UPSTREAM="true")


def freer(station: Any) -> Freer:
    return Freer(station.services.ledger, station.services.upstreams, pause=lambda _: True)


def files_of(station: Any, job_id: str) -> list[str]:
    return [file.id for file in station.services.swiftia.uploads().files if file.job_id == job_id]


def again(station: Any) -> None:
    """Let the term of the job that was taken end."""
    for job in station.services.redis.zrange("sr:freeing", 0, -1):
        station.services.redis.zadd("sr:freeing", {job: 0})


def test_what_is_kept_here_is_deleted_there_and_nothing_else(station: Any) -> None:
    job, other = station.done("video-000001").summary.id, station.done("video-000002").summary.id
    assert len(files_of(station, job)) == len(files_of(station, other)) == 2
    assert freer(station).turn()
    assert (files_of(station, job), len(files_of(station, other))) == ([], 2)
    (freed,) = [event for event in station.view(job).timeline if event["event"] == "upstream.freed"]
    assert freed["files"] == 2
    assert freer(station).turn()
    assert files_of(station, other) == []
    assert not freer(station).turn()
    assert station.state(job) == "finished"


@pytest.mark.parametrize("video", ["render-fails-1", "every-render-fails-1"])
def test_a_job_of_which_something_is_missing_keeps_its_files(station: Any, video: str) -> None:
    job = station.done(video).summary.id
    before = files_of(station, job)
    assert not freer(station).turn()
    assert files_of(station, job) == before


def test_it_is_off_by_default(make_station: MakeStation) -> None:
    station = make_station({"shorts": 1})
    job = station.done("video-000001").summary.id
    assert not freer(station).turn()
    assert len(files_of(station, job)) == 1


def test_one_that_is_cut_off_goes_on_later_with_what_is_left(station: Any) -> None:
    job = station.done("video-000001").summary.id
    station.services.swiftia.delete_file(files_of(station, job)[0])  # and then its process died
    assert station.services.ledger.take_freeing(again_s=600).job_id == job
    assert not freer(station).turn()  # another one has it
    again(station)
    assert freer(station).turn()
    assert files_of(station, job) == []
    assert station.services.swiftia.delete_file("file_gone") is False


def test_a_server_that_fails_is_tried_again_and_given_up_in_the_end(station: Any) -> None:
    job = station.done("video-000001").summary.id
    station.sandbox.configure(server_errors=1.0)
    with structlog.testing.capture_logs() as logs:
        for _ in range(10):
            again(station)
            assert freer(station).turn()
            station.services.redis.delete("sr:budget:state")  # the breaker opens meanwhile
    assert [entry["tries"] for entry in logs if entry["event"] == "upstream.not_freed"] == list(range(1, 11))
    assert not freer(station).turn()
    assert station.events(job)[-1] == "upstream.not_freed"
    assert station.state(job) == "finished"


def test_without_a_slot_nothing_is_asked_and_it_comes_again(make_station: MakeStation) -> None:
    station = make_station({"shorts": 1}, FREE_UPSTREAM="true")
    job = station.done("video-000001").summary.id
    budget = station.services.budget
    budget.settle(budget.take("fetch", "another"), pause_s=60)
    assert freer(station).turn()
    assert station.services.redis.zcard("sr:freeing") == 1
    assert "upstream.freed" not in station.events(job)


def test_erasing_forgets_it(station: Any) -> None:
    job = station.done("video-000001").summary.id
    station.services.ledger.erase(JobSubject(job))
    assert station.services.redis.zcard("sr:freeing") == 0
    assert not freer(station).turn()


def test_an_id_that_could_lead_elsewhere_is_not_asked_for(station: Any) -> None:
    with pytest.raises(Exception, match="a job id is"):
        station.services.swiftia.delete_file("../jobs/job_1")
    with pytest.raises(UpstreamRefused):
        station.services.swiftia.job("job_unknown")


def test_files_that_stay_there_alone_are_not_to_be_deleted(make_station: MakeStation) -> None:
    with pytest.raises(InvalidSettings, match="KEEP_VIDEOS"):
        make_station(FREE_UPSTREAM="true", KEEP_VIDEOS="false")
