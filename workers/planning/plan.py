"""The answers: what a load asks of an allowance, whether it fits, how late it sees things, and what it takes to run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from workers.planning.account import Account
from workers.planning.load import DAY_S, Chance, Load
from workers.planning.tally import Tally, mean, part
from workers.work import CLASSES, UPSTREAM

# Enough renders for figures that hold still, and so many hours that the queues have come to rest.
_RENDERS, _LEAST_HOURS, _LEAST_JOBS, _MOST_JOBS = 900, 0.5, 120, 1000
# The first ones teach how long renders take.
_TEACH: Final = 0.25
# The ceiling is looked for where the allowance is almost spent: then looks are as rare as they get.
_ALMOST: Final = 0.97
# Who plans for more than this waits long for his turn now and then.
_ROOM: Final = 0.8


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one account, but for what is said of all. Times in seconds; ``busy``: the share of the allowance spent.

    ``requests``: per job, by class. ``allowed_per_h``: requests; ``ceiling_per_h``: jobs. ``noticed``: mean, p50 and
    p95 from done upstream to noticed; ``ended``: of a job, from its coming to its last render noticed.
    """

    accounts: int
    jobs_per_day: float
    simulated: int
    requests: Mapping[str, float]
    allowed_per_h: float
    ceiling_per_h: float
    busy: float
    looks: float
    render_s: float
    noticed: Mapping[str, float]
    ended: Mapping[str, float]

    @property
    def requests_per_job(self) -> float:
        return sum(self.requests.values())

    @property
    def fits(self) -> bool:
        return self.jobs_per_day <= 24 * self.ceiling_per_h

    @property
    def accounts_needed(self) -> int:
        """So many accounts carry all the jobs, each with some room."""
        return math.ceil(self.accounts * self.jobs_per_day / (24 * self.ceiling_per_h * _ROOM))

    @property
    def requests_per_s(self) -> float:
        """Of all accounts together."""
        return self.accounts * min(self.jobs_per_day * self.requests_per_job / DAY_S, self.allowed_per_h / 3600)


def plan(load: Load, *, accounts: int, luck: Callable[[], Chance]) -> Plan:
    """``load``: of one of ``accounts`` that are all alike. ``luck``: the same draws each time."""
    tally = _simulated(load, luck)
    ceiling_per_h = _ceiling_per_h(load, tally, luck)
    return Plan(
        accounts=accounts,
        jobs_per_day=load.jobs_per_day,
        simulated=tally.jobs,
        requests={name: tally.requests[name] / tally.jobs for name in CLASSES[UPSTREAM]},
        allowed_per_h=3600 * load.most_per_s,
        ceiling_per_h=ceiling_per_h,
        busy=min(1.0, load.jobs_per_day * tally.requests_per_job / DAY_S / load.most_per_s),
        looks=mean(tally.looks),
        render_s=mean(tally.took_s),
        noticed=_spread(tally.noticed_s),
        ended=_spread(tally.ended_s),
    )


def _ceiling_per_h(load: Load, tally: Tally, luck: Callable[[], Chance]) -> float:
    """Jobs an hour by what one costs where the allowance is almost spent."""
    per_job = tally.requests_per_job
    for _ in range(2):
        full = replace(load, jobs_per_day=_ALMOST * DAY_S * load.most_per_s / per_job)
        per_job = _simulated(full, luck).requests_per_job
    return 3600 * load.most_per_s / per_job


def _simulated(load: Load, luck: Callable[[], Chance]) -> Tally:
    per_hours = math.ceil(load.jobs_per_day / 24 * _LEAST_HOURS)
    enough = max(math.ceil(_RENDERS / max(load.shorts, 1)), per_hours, _LEAST_JOBS)
    jobs = min(enough, max(_LEAST_JOBS, math.ceil(_MOST_JOBS * 3 / max(load.shorts, 3))))
    skip = round(jobs * _TEACH)
    return Account(load, luck(), jobs=jobs + skip, skip=skip).run()


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"mean": mean(seconds), "p50": part(seconds, 0.5), "p95": part(seconds, 0.95)}
