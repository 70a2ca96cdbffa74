"""The newest changes, in order, for listeners that are at different places in them. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from workers.changes import Change, digest
from workers.frames import StreamId


@dataclass(slots=True)
class Tail:
    """``end``: the last change is not behind it. Who is before ``start`` has missed some that are not here any more."""

    start: StreamId
    end: StreamId
    most: int
    _changes: list[Change] = field(default_factory=list)

    def add(self, changes: Iterable[Change], end: StreamId) -> None:
        """Take in what came after ``end``, in order, and forget the oldest."""
        self._changes += changes
        self.end = max(self.end, end)
        if len(self._changes) > self.most + self.most // 4:  # a list is shortened seldom, as that moves all of it
            surplus = len(self._changes) - self.most
            self.start = self._changes[surplus - 1].at
            del self._changes[:surplus]

    def holds(self, after: StreamId) -> bool:
        """Whether nothing is missing behind ``after``."""
        return after >= self.start

    def after(self, after: StreamId, names: Collection[str] | None, most: int) -> tuple[list[Change], StreamId]:
        """Give what comes behind ``after`` and is about ``names`` (None: about anything), ``most`` at a time.

        Also how far that goes. It goes no further than a change that tells which job one of ``names`` is: from there
        on the job's changes are wanted too. An erasure is about everybody's name, until the digests are compared.
        """
        found: list[Change] = []
        for index in range(bisect_right(self._changes, after, key=lambda change: change.at), len(self._changes)):
            change = self._changes[index]
            if names is not None and change.owner not in names and not change.digests:
                continue
            found.append(change)
            if len(found) == most or (names is not None and change.job and change.job not in names):
                return found, change.at
        return found, max(self.end, after)

    def forget(self, erasure: Change) -> None:
        """Drop what came of a job before it was erased."""
        owners = {change.owner for change in self._changes if change.owner}
        gone = {owner for owner in owners if digest(owner) in erasure.digests}
        self._changes = [change for change in self._changes if change.owner not in gone or change.at > erasure.at]

    def __len__(self) -> int:
        return len(self._changes)
