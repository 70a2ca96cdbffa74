"""Jobs page by page, newest first.

State and time are found by index. Function, account, metadata and title stand in each job's record alone: the index is
walked for them, at most ``MOST_LOOKED_AT`` entries and ``PATIENCE_S`` for one page. A page may then be short, or empty,
and still have a next; it says how far back it looked. An index of words would take as much memory as the jobs do.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis

from workers import keys
from workers.cursors import Entry, read_cursor, write_cursor
from workers.errors import InvalidInput
from workers.filters import LOOKED_AT, Wanted, search
from workers.holdings import Holdings
from workers.identifiers import JobSubject, RefSubject, Subject, is_job_id, is_ref, parse_subject
from workers.indexes import Indexes, is_within
from workers.moments import moment
from workers.reader import Fields, Reader
from workers.states import JobState, RefState
from workers.summaries import JobSummary, summary_of_job, summary_of_ref

MAX_PAGE: Final = 100
MOST_LOOKED_AT: Final = 10_000
PATIENCE_S: Final = 0.05
AT_ONCE: Final = 200  # records can have metadata of 16 KiB each


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: the cursor of the page that follows, None at the end.

    ``looked_back_to``: ISO 8601, where looking for more ended before the page was full; None where it did not.
    """

    items: tuple[JobSummary, ...]
    next: str | None
    looked_back_to: str | None = None


class Listing:
    """Raises ``LedgerUnavailable`` when Redis does not answer.

    ``most``: entries looked into for one page, ``at_once`` at a time. ``patience_s``: by ``now``, a monotonic clock,
    after so many seconds no more of them are.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        most: int = MOST_LOOKED_AT,
        at_once: int = AT_ONCE,
        patience_s: float = PATIENCE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = Reader(redis)
        self._indexes = Indexes(redis)
        self._holdings = Holdings(self._reader)
        self._most = most
        self._at_once = at_once
        self._patience_s = patience_s
        self._now = now

    def page(self, wanted: Wanted, cursor: str | None, limit: int) -> Page:
        """List one page. What is added or leaves meanwhile shifts nothing.

        Raises ``InvalidInput`` for a cursor that is none of ours, a ref that is none, and for a ``limit`` outside 1 to
        ``MAX_PAGE``.
        """
        _check_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        chosen, last = self._chosen(wanted, after, limit)
        short = last is not None and len(chosen) < limit
        return Page(
            self.summaries([member for _, member in chosen]),
            None if last is None else write_cursor(*last),
            moment(last[0]) if last and short else None,
        )

    def summaries(self, members: Sequence[bytes]) -> tuple[JobSummary, ...]:
        """Look up what stands in an index; what is gone by now is left out."""
        parsed = [parse_subject(member.decode()) for member in members]
        subjects = [subject for subject in parsed if isinstance(subject, JobSubject | RefSubject)]
        read = zip(subjects, self._holdings.renders(subjects), strict=True)
        return tuple(_summary(subject, fields, renders) for subject, (fields, renders) in read if "state" in fields)

    def search(self, text: str, wanted: Wanted, cursor: str | None, limit: int) -> Page:
        """List one page of what is searched for: by id or ref the one job, else as ``filters.search`` says."""
        narrowed = search(text, wanted)
        _check_limit(limit)
        found = self._named(text.strip(), wanted) if cursor is None else []
        if not found:
            return self.page(narrowed, cursor, limit)
        return Page(self.summaries([member for _, member in found]), None)

    def _named(self, name: str, wanted: Wanted) -> list[Entry]:
        entry = self._indexes.entry(wanted, JobSubject(name)) if is_job_id(name) else None
        ref = name.removeprefix("ref:")
        if entry is None and is_ref(ref):
            entry = self._of_ref(wanted, ref) or self._open(wanted, RefSubject(ref))
        if entry is None or (wanted.ref is not None and entry != self._of_ref(wanted, wanted.ref)):
            return []
        return [one for one in self._fitting(wanted, [entry]) if one is not None]

    def _open(self, wanted: Wanted, subject: RefSubject) -> Entry | None:
        """A callback URL whose job is not known stands in no index, and can be asked for by its ref all the same."""
        (fields,) = self._reader.picked([keys.record(subject)], ("state", "created"))
        if fields.get("state") != RefState.OPEN or wanted.state not in (None, JobState.WAITING):
            return None
        at = float(fields["created"])
        return (at, str(subject).encode()) if is_within(wanted, at) else None

    def _chosen(self, wanted: Wanted, after: Entry | None, limit: int) -> tuple[list[Entry], Entry | None]:
        """Give the entries of a page, and the one after which the next page begins unless there is none."""
        chosen: list[Entry] = []
        left, until = self._most, self._now() + self._patience_s
        while left > 0:
            step = min(left, self._at_once) if wanted.looks_inside else limit
            entries = self._after(wanted, after, step + 1)
            here, goes_on = entries[:step], len(entries) > step
            for place, entry in enumerate(self._fitting(wanted, here)):
                if entry is None:
                    continue
                chosen.append(entry)
                if len(chosen) == limit:
                    return chosen, entry if goes_on or place + 1 < len(here) else None
            if not goes_on:
                return chosen, None
            after = here[-1]
            left = left - step if self._now() < until else 0
        return chosen, after

    def _fitting(self, wanted: Wanted, entries: Sequence[Entry]) -> list[Entry | None]:
        """Give each entry, or None in its place if it is not wanted."""
        if not wanted.looks_inside:
            return list(entries)
        subjects = [keys.record(parse_subject(member.decode())) for _, member in entries]
        records = self._reader.picked(subjects, LOOKED_AT)
        return [entry if wanted.fits(fields) else None for entry, fields in zip(entries, records, strict=True)]

    def _after(self, wanted: Wanted, start: Entry | None, most: int) -> list[Entry]:
        """Up to ``most`` entries that stand after ``start``, newest first; by index alone."""
        if wanted.ref is None:
            return self._indexes.after(wanted, start, most)
        entry = self._of_ref(wanted, wanted.ref)
        return [entry] if entry and (start is None or entry < start) else []

    def _of_ref(self, wanted: Wanted, ref: str) -> Entry | None:
        """Give the entry of one ref, or of the job that it belongs to, if it is among those that are wanted."""
        if not is_ref(ref):
            raise InvalidInput("a ref is what POST /api/callbacks and POST /api/jobs answered under ref")
        subject = RefSubject(ref)
        (fields,) = self._reader.picked([keys.record(subject)], ("state", "job_id"))
        linked = fields.get("state") == RefState.LINKED
        return self._indexes.entry(wanted, JobSubject(fields["job_id"]) if linked else subject)


def _summary(subject: Subject, fields: Fields, renders: Sequence[Fields]) -> JobSummary:
    if isinstance(subject, RefSubject):
        return summary_of_ref(subject.ref, fields)
    return summary_of_job(str(subject), fields, renders)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit is 1 to {MAX_PAGE}", got=limit)
