"""The ledger in numbers: jobs by state, what is due, what has happened so far. Writes nothing.

Each number stands ready in Redis. Asking for all of them is two round trips and costs the same, however many jobs there
are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from workers import keys
from workers.measures import Measures, read_measures
from workers.reader import asked
from workers.schedule import archived_soon
from workers.states import JOB_ENDED, JobState
from workers.uploads import read_stock
from workers.work import DELIVERIES, FILES, LANE_OF_CLASS, LANES, UPSTREAM

# These names leave the service as they are: what looks different is none of ours.
_EVENT: Final = re.compile(rb"[a-z._]{1,64}")
_UNFINISHED: Final = tuple(state for state in JobState if state not in JOB_ENDED)
_COUNT: Final = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Line:
    """What waits in a class. ``late_s``: seconds that its oldest entry is overdue, 0 if none is."""

    length: int
    late_s: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """``jobs``: by state. ``due``: by class, all accounts and targets together; ``due_of``: the same by account where
    it is of one, else under the empty name. ``events``: how often each happened, to jobs erased since as well.
    ``deliveries_parked``: how many were given up. ``measures``: what the ledger counted; ``requests``: what the budget
    of each account did.

    ``clock``: seconds since the clock looked after each lane, None if it never did. ``storage``: how much is used at
    Swiftia in percent, by account, where it was seen. ``archive_soon``: jobs, parked ones too, that have not ended and
    that Swiftia archives within days.
    """

    jobs: Mapping[str, int]
    due: Mapping[str, Line]
    due_of: Mapping[str, Mapping[str, Line]]
    events: Mapping[str, int]
    clock: Mapping[str, float | None]
    deliveries_parked: int
    storage: Mapping[str, float]
    archive_soon: int
    measures: Measures
    requests: Mapping[str, Measures]


class Census:
    """``archive_s``: the age at which Swiftia archives a job. ``accounts``: names of those that there are."""

    def __init__(self, redis: Redis, *, archive_s: float, accounts: Iterable[str] = ()) -> None:
        self._redis = redis
        self._archive_s = archive_s
        self._accounts = frozenset(accounts)

    def take(self) -> Numbers:
        """Raise LedgerUnavailable when Redis does not answer."""
        now_ms, lines = self._start()
        answers = iter(self._answers(lines, now_ms))
        passes = zip(LANES, next(answers), strict=True)
        names = _accounts(lines)
        stocks = {name: read_stock(raw) for name, raw in zip(names, next(answers), strict=True)}
        measures, *requests = (read_measures(next(answers)) for _ in ("the ledger", *names))
        archive_soon = sum(next(answers) for _ in _UNFINISHED)
        events, deliveries_parked = _events(next(answers)), next(answers)
        jobs = {state.value: next(answers) for state in JobState}
        due_of = {name: _by_account(name, of_class, answers, now_ms) for name, of_class in lines.items()}
        return Numbers(
            jobs=jobs,
            due={name: together(of_class.values()) for name, of_class in due_of.items()},
            due_of=due_of,
            events=events,
            clock={lane: _since(at, now_ms) if at else None for lane, at in passes},
            deliveries_parked=deliveries_parked,
            storage={name: used for name, one in stocks.items() if one and (used := one.used_percent) is not None},
            archive_soon=archive_soon,
            measures=measures,
            requests=dict(zip(names, requests, strict=True)),
        )

    def _start(self) -> tuple[float, dict[str, list[str]]]:
        """Ask for the time in milliseconds, and name the lines of what is due, by class."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.time().smembers(keys.ACCOUNTS).zrange(keys.TARGETS, 0, -1)
        (seconds, micros), *sets = asked(pipeline.execute)
        found = [[name.decode() for name in names] for names in sets]
        accounts = sorted(self._accounts.union(found[0]) - {""})
        scopes = {UPSTREAM: ["", *accounts], FILES: [""], DELIVERIES: found[1]}
        lines = {name: [keys.line(name, scope) for scope in scopes[lane]] for name, lane in LANE_OF_CLASS.items()}
        return seconds * 1000 + micros / 1000, lines

    def _answers(self, lines: Mapping[str, Sequence[str]], now_ms: float) -> list[Any]:
        # A transaction: a job that moves on meanwhile is counted once.
        pipeline: Any = self._redis.pipeline(transaction=True)
        names = _accounts(lines)
        pipeline.hmget(keys.CLOCK, *LANES).mget([keys.storage(name) for name in names]).hgetall(keys.MEASURES)
        for name in names:
            pipeline.hgetall(keys.budget_measures(name))
        youngest_s, oldest_s = archived_soon(archive_s=self._archive_s)
        for state in _UNFINISHED:
            pipeline.zcount(keys.jobs_in(state), f"({now_ms - oldest_s * 1000}", now_ms - youngest_s * 1000)
        pipeline.hgetall(keys.COUNTS).zcard(keys.PARKED_DELIVERIES)
        for state in JobState:
            pipeline.zcard(keys.jobs_in(state))
        for line in (line for of_class in lines.values() for line in of_class):
            pipeline.zcard(keys.due(line)).zrange(keys.due(line), 0, 0, withscores=True)
        answers: list[Any] = asked(pipeline.execute)
        return answers


def _accounts(lines: Mapping[str, Sequence[str]]) -> list[str]:
    return [line.partition("@")[2] for line in lines["fetch"]]


def together(lines: Iterable[Line]) -> Line:
    found = list(lines)
    return Line(sum(line.length for line in found), max((line.late_s for line in found), default=0.0))


def _by_account(name: str, lines: Sequence[str], answers: Iterator[Any], now_ms: float) -> dict[str, Line]:
    found = [Line(next(answers), _late(next(answers), now_ms)) for _ in lines]
    if LANE_OF_CLASS[name] == DELIVERIES:
        return {"": together(found)}
    return {line.partition("@")[2]: one for line, one in zip(lines, found, strict=True)}


def _since(then_ms: bytes | float, now_ms: float) -> float:
    return max(0.0, (now_ms - float(then_ms)) / 1000)


def _late(first: Sequence[tuple[bytes, float]], now_ms: float) -> float:
    return _since(first[0][1], now_ms) if first else 0.0


def _events(found: Mapping[bytes, bytes]) -> dict[str, int]:
    ours = {name: count for name, count in found.items() if _EVENT.fullmatch(name) and _COUNT.fullmatch(count)}
    return {name.decode(): int(ours[name]) for name in sorted(ours)}
