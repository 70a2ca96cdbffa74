"""Who is due in which class, and who goes next: as the clock's dispatch and the budget's turns have it."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from workers.limits import TURN_EVERY
from workers.work import CLASSES, UPSTREAM

T = TypeVar("T")


class Entry(NamedTuple, Generic[T]):
    """``number``: who came first, among those that are due at once."""

    due_ms: int
    number: int
    subject: T
    planned_ms: int


@dataclass(slots=True)
class Lines(Generic[T]):
    """What one account has to ask. Times are milliseconds.

    The more important class goes first, in it who is due longest; but each ``TURN_EVERY``-th slot is for who is due
    longest among the classes below the first that waits. And a look goes before the start of a render that was planned
    later: what was begun first is to end first.
    """

    _due: dict[str, list[Entry[T]]] = field(default_factory=lambda: {name: [] for name in CLASSES[UPSTREAM]})
    _count: int = 0
    _run: int = 0

    def add(self, name: str, due_ms: int, subject: T, *, planned_ms: int = 0) -> Entry[T]:
        """Put it into a class; what is returned takes it out. ``planned_ms``: of a render, when its result came."""
        self._count += 1
        entry = Entry(due_ms, self._count, subject, planned_ms)
        insort(self._due[name], entry, key=_order)
        return entry

    def remove(self, name: str, entry: Entry[T]) -> None:
        line = self._due[name]
        del line[bisect_left(line, _order(entry), key=_order)]

    def waiting(self, now_ms: int) -> int:
        """How many are due."""
        return sum(bisect_right(line, now_ms, key=_time) for line in self._due.values())

    def next_ms(self) -> int | None:
        """When the first is due."""
        return min((line[0].due_ms for line in self._due.values() if line), default=None)

    @property
    def turn(self) -> bool:
        """Whether the next slot is for one of the less important."""
        return self._run >= TURN_EVERY - 1

    def pick(self, now_ms: int) -> tuple[str, T] | None:
        """Take out who gets the slot that is free now."""
        due = {name: line[0] for name, line in self._due.items() if line and line[0].due_ms <= now_ms}
        if not due:
            return None
        first, *others = due
        if others and self.turn:
            name = min(others, key=lambda other: due[other].due_ms)
            self._run = 0
        else:
            name = _begun_first(due) if first == "render" else first
            self._run = min(self._run + 1, TURN_EVERY - 1)
        self.remove(name, due[name])
        return name, due[name].subject


def _begun_first(due: Mapping[str, Entry[T]]) -> str:
    """The start of a render, or a look at one that was planned before."""
    older = "watch" in due and due["watch"].planned_ms < due["render"].planned_ms
    return "watch" if older else "render"


def _order(entry: Entry[T]) -> tuple[int, int]:
    return entry.due_ms, entry.number


def _time(entry: Entry[T]) -> int:
    return entry.due_ms
