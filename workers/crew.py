"""Who works, and on what, in three round trips: RQ's workers and queues as RQ notes them, and what a worker has taken
since, in a shift that RQ knows nothing of. Writes nothing.

RQ's own ``Worker.all`` asks one by one, and cleans up while it reads. ``tests/workers/test_crew.py`` holds this against
a real worker.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis

from workers import keys
from workers.documents import number, parse_json
from workers.errors import InvalidInput
from workers.reader import asked
from workers.work import LANES

MOST: Final = 200
_FIELDS: Final = ("hostname", "pid", "queues", "birth", "last_heartbeat", "death")
_STEP = re.compile(r"[a-z]{1,20}", re.ASCII)
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Task:
    """``since``: Unix seconds."""

    step: str
    subject: str
    attempt: int
    since: float | None


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker. Times are Unix seconds, None where they are not known. ``task``: what it has in hand."""

    host: str
    pid: str
    lane: str
    since: float | None
    seen: float | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class Crew:
    """``now``: Unix seconds of Redis. ``hands``: ``MOST`` at most, of ``count``. ``queues``: waiting nudges by lane."""

    now: float
    hands: Sequence[Hand]
    count: int
    queues: Mapping[str, int]

    def on(self, lane: str) -> int:
        return sum(hand.lane == lane for hand in self.hands)


def read_crew(redis: Redis) -> Crew:
    """Raise ``LedgerUnavailable`` when Redis does not answer."""
    pipeline: Any = redis.pipeline(transaction=False)
    pipeline.time().scard("rq:workers").srandmember("rq:workers", MOST)
    for lane in LANES:
        pipeline.llen(f"rq:queue:{lane}")
    (seconds, micros), count, names, *lengths = asked(pipeline.execute)
    workers = sorted(name.decode("utf-8", "replace") for name in names)
    pipeline = redis.pipeline(transaction=False)
    for name in workers:
        pipeline.hmget(name, *_FIELDS).srandmember(f"{name}:executions")
        pipeline.get(keys.given(name.removeprefix("rq:worker:")))
    answers = iter(asked(pipeline.execute))
    found = [(_texts(next(answers)), _text(next(answers)), next(answers)) for _ in workers]
    there = [each for each in found if each[0]["birth"] and not each[0]["death"]]
    first = _tasks(redis, [run for _, run, _ in there])
    hands = [_hand(fields, task or _taken(given)) for (fields, _, given), task in zip(there, first, strict=True)]
    return Crew(
        now=seconds + micros / 1e6,
        hands=sorted(hands, key=lambda hand: (hand.host, hand.lane, hand.pid)),
        count=int(count),
        queues=dict(zip(LANES, map(int, lengths), strict=True)),
    )


def _tasks(redis: Redis, runs: Sequence[str]) -> list[Task | None]:
    """``runs``: what each worker has in hand, as RQ writes it: the id of the job and of the run, or nothing."""
    pipeline: Any = redis.pipeline(transaction=False)
    for run in filter(None, runs):
        pipeline.hget(f"rq:job:{run.rpartition(':')[0]}", "data").hget(f"rq:execution:{run}", "created_at")
    answers = iter(asked(pipeline.execute))
    return [_task(next(answers), next(answers)) if run else None for run in runs]


def _task(data: bytes | None, since: bytes | None) -> Task | None:
    try:
        document = parse_json(data or b"", what="a nudge")
    except InvalidInput:
        return None  # it ended meanwhile
    match document:
        case [_, _, [str(step), str(subject), int(attempt)], *_]:
            return _named(step, subject, attempt, number(_text(since)))
    return None


def _taken(given: bytes | None) -> Task | None:
    """Read what a worker took in a shift (``lua/take_nudge.lua``)."""
    try:
        document = parse_json(given or b"", what="what a worker took")
    except InvalidInput:
        return None
    match document:
        case [_, str(step), str(subject), str(attempt), str(since), *_] if attempt.isdecimal() and since.isdecimal():
            return _named(step, subject, int(attempt), int(since) / 1000)
    return None


def _named(step: str, subject: str, attempt: int, since: float | None) -> Task | None:
    return Task(step, subject[:_LONGEST], attempt, since) if _STEP.fullmatch(step) else None


def _hand(fields: Mapping[str, str], task: Task | None) -> Hand:
    return Hand(
        host=fields["hostname"][:_LONGEST],
        pid=fields["pid"][:_LONGEST],
        lane=fields["queues"][:_LONGEST],
        since=_moment(fields["birth"]),
        seen=_moment(fields["last_heartbeat"]),
        task=task,
    )


def _moment(text: str) -> float | None:
    """Read RQ's way of writing a time.

    >>> _moment("2026-11-24T18:00:00.000000Z"), _moment("soon")
    (1795543200.0, None)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _texts(values: Sequence[bytes | None]) -> dict[str, str]:
    return dict(zip(_FIELDS, map(_text, values), strict=True))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
