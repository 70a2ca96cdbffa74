"""When a delivery is tried again, and what an answer to it means. Pure: numbers and answers in, values out.

The pauses between tries: 5 s unless set, then three times as long each time up to 8 hours, each drawn from a quarter
less to a quarter more. The last try comes when the patience (3 days unless set) ends. So a target that is away for a
minute is late by seconds, and one that is away for a weekend misses nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from workers.waits import retry_after

FIRST_S: Final = 5.0
TIMES: Final = 3.0
LONGEST_S: Final = 8 * 3600.0
_MOST_TRIPLED: Final = 20
# What a target may ask for: more would be as good as never.
_LONGEST_WISH_S: Final = 86_400.0
_SPREAD: Final = 0.25


@dataclass(frozen=True, slots=True)
class Reply:
    """``status``: of the answer, None if there was none. ``problem``: why it was not taken, empty if it was.

    ``wait_s``: how long the target wants to be left alone. ``over``: it will never take this one.
    """

    status: int | None
    problem: str = ""
    wait_s: float = 0.0
    over: bool = False


TAKEN: Final = Reply(None)


def pause(
    tries: int,
    *,
    age_s: float,
    patience_s: float,
    first_s: float = FIRST_S,
    at_least_s: float = 0.0,
    chance: Callable[[], float],
) -> float | None:
    """Seconds until the next try after ``tries`` that failed (1 or more), or None if patience has ended.

    ``age_s``: since it was to be delivered. ``chance`` gives a number in [0, 1).

    >>> [pause(n, age_s=0, patience_s=259_200, chance=lambda: 0.5) for n in (1, 2, 3, 20)]
    [5.0, 15.0, 45.0, 28800.0]
    >>> pause(9, age_s=259_000, patience_s=259_200, chance=lambda: 0.5)
    200
    """
    if age_s >= patience_s:
        return None
    usual_s = min(LONGEST_S, first_s * TIMES ** min(tries - 1, _MOST_TRIPLED))
    drawn_s = usual_s * (1.0 - _SPREAD + 2.0 * _SPREAD * chance())
    return max(min(drawn_s, patience_s - age_s), min(at_least_s, _LONGEST_WISH_S))


def judge(status: int, headers: Mapping[str, str]) -> Reply:
    """2xx means taken, 410 that the target wants no more of it; everything else is tried again, redirects too.

    >>> judge(204, {}), judge(410, {}).over, judge(503, {"Retry-After": "30"}).wait_s
    (Reply(status=204, problem='', wait_s=0.0, over=False), True, 30.0)
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Reply(status)
    if status == HTTPStatus.GONE:
        return Reply(status, "the target answered 410: it wants no more of this", over=True)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Reply(status, f"the target answered {status}, a redirect, which is not followed; give the final URL")
    return Reply(status, f"the target answered {status}", wait_s=retry_after(headers) or 0.0)
