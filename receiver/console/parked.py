"""``/parked``: what waits for a person, by why, and the way on for one job, for a group, or for all.

A retry of many runs in slices: each request sets ``SLICE`` jobs going at most, and the page says how many are left.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from flask import Response, request

from receiver.console import shell
from receiver.console.attention import anchor
from receiver.console.forms import Form
from receiver.console.gate import Gate, gone_to
from receiver.console.visitors import Visitor
from workers.catalog import Catalog
from workers.errors import InvalidInput
from workers.identifiers import JobSubject, RefSubject
from workers.ledger import Ledger
from workers.moments import moment
from workers.parked import Group, Parked
from workers.parking import Why, group_of, is_group, why
from workers.states import JobState
from workers.summaries import JobSummary

SLICE: Final = 500
_SHOWN: Final = 5
_GROUPS: Final = 30
_COUNT = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shown:
    """A group as it is shown: the first of its jobs, and how many more there are."""

    group: Group
    why: Why
    place: str
    since: str | None
    first: Sequence[JobSummary]

    @property
    def more(self) -> int:
        return max(0, self.group.count - len(self.first))


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be set going: one job, a group, or all that is parked (``name`` empty, and no ``job``)."""

    name: str
    job: JobSummary | None
    count: int
    why: Why | None

    @property
    def pays(self) -> bool:
        return self.why is not None and self.why.pays


class ParkedPages:
    def __init__(self, parked: Parked, catalog: Catalog, ledger: Ledger) -> None:
        self._parked = parked
        self._catalog = catalog
        self._ledger = ledger

    def add_to(self, gate: Gate) -> None:
        gate.show("/parked", self.page)
        gate.show("/parked/retry", self.confirm, to_look=False)
        gate.act("/parked/retry", self.retry)

    def page(self, visitor: Visitor) -> Response:
        groups, total = self._parked.groups(), self._parked.count()
        first = self._parked.first(groups[:_GROUPS], each=_SHOWN)
        shown = [
            Shown(group, why(group.name), anchor(group.name), moment(group.since_ms), first[group.name])
            for group in groups[:_GROUPS]
        ]
        known = sum(one.group.count for one in shown)
        return shell.page(
            visitor, "parked.html", shown=shown, total=total, others=max(0, total - known), done=_count("done")
        )

    def confirm(self, visitor: Visitor) -> Response:
        choice = self._choice(request.args)
        if not choice.count:
            return gone_to(f"/parked?done={_count('done') or 0}")
        return shell.page(
            visitor, "parked_retry.html", choice=choice, done=_count("done"), skip=_count("skip") or 0, slice=SLICE
        )

    def retry(self, visitor: Visitor, form: Form) -> Response:
        del visitor
        if form.get("job"):
            subject = _subject(self._choice(form).job)
            return gone_to(f"/parked?done={int(self._ledger.retry(subject) > 0)}")
        name = _group(form)
        skip = _whole(form.get("skip", "0"))
        before = _whole(form.get("done", "0"))
        found = self._parked.slice(name or None, skip=skip, most=SLICE)
        going = sum(self._ledger.retry(subject) > 0 for subject in found.subjects)
        done = before + going
        # What cannot be set going stays where it is, and the next slice begins behind it.
        skip += len(found.subjects) - going
        if found.left and found.subjects:
            return gone_to(f"/parked/retry?{_query(name)}&done={done}&skip={skip}")
        return gone_to(f"/parked?done={done}")

    def _choice(self, given: Any) -> Choice:
        if job := given.get("job", ""):
            view = self._catalog.find(job)
            if view is None or view.summary.state != JobState.PARKED:
                raise InvalidInput("this job is not parked any more; look at its page for what became of it")
            return Choice("", view.summary, 1, why(group_of(view.summary.reason or "")))
        name = _group(given)
        if not name:
            return Choice("", None, self._parked.count(), None)
        first = self._parked.slice(name, skip=0, most=1)
        return Choice(name, None, len(first.subjects) + first.left, why(name))


def _subject(job: JobSummary | None) -> JobSubject | RefSubject:
    assert job is not None  # noqa: S101 - it was asked for by its name
    return job.subject


def _group(given: Any) -> str:
    """Return the name of a group, empty for all of them."""
    name = str(given.get("group", ""))
    if name and not is_group(name):
        raise InvalidInput("there is no group of that name; the page Parked shows those there are")
    return name


def _query(name: str) -> str:
    return f"group={quote(name, safe='')}"


def _count(name: str) -> int | None:
    text = request.args.get(name, "")
    return int(text) if _COUNT.fullmatch(text) else None


def _whole(text: str) -> int:
    return int(text) if _COUNT.fullmatch(text) else 0
