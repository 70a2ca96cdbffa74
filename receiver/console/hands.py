"""``/workers``: who is there, on which machine, and what each has in hand. Bounded, whatever Redis holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Response
from redis import Redis

from receiver.console import shell
from receiver.console.gate import Gate
from receiver.console.visitors import Visitor
from receiver.console.words import duration
from workers.census import Census
from workers.crew import Hand, Task, read_crew
from workers.moments import moment
from workers.presence import Presence

_SILENT_S: Final = 60.0
_CLOCK_SILENT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Person:
    """A process of one machine. ``doing``: its task, where it has one. ``silent``: for how long, if it is too long."""

    kind: str
    pid: str
    since: str | None
    up: str
    doing: Task | None = None
    doing_since: str | None = None
    doing_for: str = ""
    silent: str = ""

    @property
    def job(self) -> str:
        """The job, or the submission, that it works for: a name for its page."""
        return self.doing.subject.removeprefix("ref:").split("/")[0].split("!")[0] if self.doing else ""


@dataclass(frozen=True, slots=True)
class Machine:
    host: str
    people: Sequence[Person]

    @property
    def busy(self) -> int:
        return sum(person.doing is not None for person in self.people)


class WorkersPage:
    def __init__(self, redis: Redis, census: Census) -> None:
        self._redis = redis
        self._census = census
        self._presence = Presence(redis)

    def add_to(self, gate: Gate) -> None:
        gate.show("/workers", self.page, in_turn=True)

    def page(self, visitor: Visitor) -> Response:
        crew, processes, numbers = read_crew(self._redis), self._presence.all(), self._census.take()
        people: dict[str, list[Person]] = {}
        for hand in crew.hands:
            people.setdefault(hand.host or "?", []).append(_of_hand(hand, crew.now))
        for process in processes:
            since = moment(process.since * 1000)
            person = Person(process.kind, str(process.pid), since, duration(max(0.0, crew.now - process.since)))
            people.setdefault(process.host, []).append(person)
        return shell.page(
            visitor,
            "workers.html",
            machines=[Machine(host, people[host]) for host in sorted(people)],
            hidden=max(0, crew.count - len(crew.hands)),
            queues=crew.queues,
            lines={name: (line.length, _late(line.late_s)) for name, line in numbers.due.items()},
            clocks=[
                (lane, None if age is None else round(age, 1), _silence(age)) for lane, age in numbers.clock.items()
            ],
        )


def _of_hand(hand: Hand, now: float) -> Person:
    task = hand.task
    silent_s = now - hand.seen if hand.seen is not None else 0.0
    began = task.since if task is not None else None
    return Person(
        kind=f"worker, {hand.lane}",
        pid=hand.pid,
        since=None if hand.since is None else moment(hand.since * 1000),
        up="" if hand.since is None else duration(max(0.0, now - hand.since)),
        doing=task,
        doing_since=None if began is None else moment(began * 1000),
        doing_for="" if began is None else duration(max(0.0, round(now - began, 1))),
        silent=duration(silent_s) if silent_s > _SILENT_S else "",
    )


def _late(seconds: float) -> str:
    return duration(seconds) if seconds else ""


def _silence(age: float | None) -> str:
    """Say what is wrong with a clock, nothing if it is well."""
    if age is None:
        return "never ran"
    return f"silent for {duration(age)}" if age > _CLOCK_SILENT_S else ""
