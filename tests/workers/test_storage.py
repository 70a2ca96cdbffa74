"""How full Swiftia's storage is: what was seen lately is enough, and a request is waited for only briefly."""

from collections.abc import Callable
from typing import Any

import pytest

from workers.errors import Busy, UpstreamUnavailable
from workers.storage import FRESH_S, Storage

MakeStation = Callable[..., Any]
SPENT = {"SWIFTIA_RATE_LIMIT": "1/600s"}


class Time:
    """Unix seconds that are moved by hand."""

    at = 1_800_000_000.0

    def now(self) -> float:
        return self.at


def storage(station: Any, time: Time, **how: Any) -> Storage:
    return Storage(station.services.redis, station.services.upstreams, now=time.now, **how)


def test_it_is_asked_for_once_in_a_while(make_station: MakeStation) -> None:
    station, time = make_station({"storage_mb": 10, "film_bytes": "50000"}), Time()
    looking = storage(station, time)
    assert looking.known("") is None
    first = looking.look("")
    assert (first.used_mb, first.total_mb, first.files, first.at) == (0.0, 10.0, 0, time.at)
    view = station.done()
    time.at += FRESH_S - 1
    assert looking.look("") == first
    time.at += 1
    again = looking.look("")
    assert again.files == len(view.renders)
    assert (again.used_mb or 0) > 0
    assert looking.known("") == again


def test_without_a_slot_in_time_the_last_look_counts(make_station: MakeStation) -> None:
    station, time = make_station({"rate_limit": "1/600s"}, **SPENT), Time()
    looking = storage(station, time, patience_s=0.05)
    first = looking.look("")
    time.at += 10 * FRESH_S
    assert looking.look("") == first


def test_without_a_slot_and_without_a_last_look_it_says_when_to_come_again(make_station: MakeStation) -> None:
    station = make_station(**SPENT)
    with station.services.budget.slot("submit", "somebody"):
        pass
    with pytest.raises(Busy, match="no request was free") as caught:
        storage(station, Time(), patience_s=0.05).look("")
    assert (caught.value.retry_after or 0) > 100


def test_it_waits_a_little_for_its_turn(make_station: MakeStation) -> None:
    station, slept = make_station(SWIFTIA_RATE_LIMIT="1/1s"), list[float]()
    with station.services.budget.slot("submit", "somebody"):
        pass

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        station.services.redis.delete("sr:budget:slots")  # as if the window had passed

    assert storage(station, Time(), sleep=sleep).look("").files == 0
    assert slept


def test_a_faulty_answer_is_told_and_what_was_seen_stays(make_station: MakeStation) -> None:
    station, time = make_station(), Time()
    looking = storage(station, time)
    first = looking.look("")
    station.sandbox.stop()
    time.at += FRESH_S
    with pytest.raises(UpstreamUnavailable):
        looking.look("")
    assert looking.known("") == first


def test_a_clock_that_went_back_does_not_make_it_last_for_ever(make_station: MakeStation) -> None:
    station, time = make_station(), Time()
    looking = storage(station, time)
    looking.look("")
    time.at -= 86_400
    assert looking.look("").at == time.at
