"""``/jobs``: the jobs, newest first, narrowed down by what a person looks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from flask import Response, request

from receiver.console import shell
from receiver.console.gate import Gate
from receiver.console.visitors import Visitor
from workers.catalog import Catalog
from workers.errors import InvalidInput
from workers.filters import Wanted
from workers.identifiers import is_account
from workers.listing import Page
from workers.moments import read_moment
from workers.states import JOB_SETTLED, JobState, as_state
from workers.summaries import JobSummary

_PAGE: Final = 25
_TEXT: Final = "q"
_FILTERS: Final = ("state", "function", "account", "since", "until")
_LONGEST: Final = 200
# The cursors of the pages before this one, to go back by. A request line has its bounds.
_TRAIL: Final = "back"
_LONGEST_TRAIL: Final = 8
_FIRST: Final = "-"
_DAY_MS: Final = round(timedelta(days=1).total_seconds() * 1000)
_DAY_LENGTH: Final = len("2026-05-01")
DONE: Final = {"erased": "The job is erased: there is no trace of it here any more."}


class Jobs:
    """``accounts``: the names of all of them, in the order to be shown."""

    def __init__(self, catalog: Catalog, accounts: Sequence[str]) -> None:
        self._catalog = catalog
        self._accounts = accounts

    def add_to(self, gate: Gate) -> None:
        gate.show("/jobs", self.listed, in_turn=True)

    def listed(self, visitor: Visitor) -> Response:
        asked = _asked()
        problem, page = "", None
        try:
            page = self._found(asked[_TEXT], _wanted(asked))
        except InvalidInput as error:
            problem = error.message
        return shell.page(
            visitor,
            "jobs.html",
            status=400 if problem else 200,
            asked=asked,
            narrowed=any(asked.values()),
            problem=problem,
            jobs=page.items if page else (),
            looked_back_to=page.looked_back_to if page else None,
            links=_links(asked, page.next if page else None),
            about=_about(asked, page.items if page else ()),
            states=[state.value for state in JobState],
            settled=JOB_SETTLED,
            accounts=[name for name in self._accounts if name],
            done=DONE.get(request.args.get("done", ""), ""),
        )

    def _found(self, text: str, wanted: Wanted) -> Page:
        if text:
            return self._catalog.search(text, wanted, cursor=_cursor(), limit=_PAGE)
        return self._catalog.jobs(wanted, _cursor(), _PAGE)


def _asked() -> dict[str, str]:
    """What the form holds. A field that is left empty asks for nothing."""
    return {name: request.args.get(name, "").strip()[: _LONGEST + 1] for name in (_TEXT, *_FILTERS)}


def _wanted(asked: dict[str, str]) -> Wanted:
    if asked["account"] and not is_account(asked["account"]):
        raise InvalidInput("an account is 1 to 32 of a-z, 0-9, '-' and '_'")
    return Wanted(
        state=as_state(asked["state"]) if asked["state"] else None,
        since_ms=_moment(asked["since"], what="From"),
        until_ms=_moment(asked["until"], what="To", days_on=1),
        function=asked["function"] or None,
        account=asked["account"] or None,
    )


def _moment(text: str, *, what: str, days_on: int = 0) -> int | None:
    """A day is meant as a whole, from its beginning to its end; a moment as it is."""
    if not text:
        return None
    return read_moment(text, what=what) + (days_on * _DAY_MS if len(text) == _DAY_LENGTH else 0)


def _cursor() -> str | None:
    return request.args.get("cursor") or None


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of the pages beside this one, empty where there is none."""

    first: str = ""
    previous: str = ""
    next: str = ""


def _links(asked: dict[str, str], following: str | None) -> Links:
    kept = [(name, value) for name, value in asked.items() if value]
    here, trail = _cursor(), [name for name in request.args.get(_TRAIL, "").split(".") if name]

    def link(cursor: str | None, back: Iterable[str]) -> str:
        told = [*kept, *([("cursor", cursor)] if cursor else [])]
        back = ".".join(back)
        query = urlencode([*told, *([(_TRAIL, back)] if back else [])])
        return f"/jobs?{query}" if query else "/jobs"

    return Links(
        first=link(None, ()) if here else "",
        previous=link(None if trail[-1] == _FIRST else trail[-1], trail[:-1]) if here and trail else "",
        next=link(following, [*trail, here or _FIRST][-_LONGEST_TRAIL:]) if following else "",
    )


def _about(asked: dict[str, str], jobs: Iterable[JobSummary]) -> str:
    """Which jobs the page follows; empty for all, on the one that new jobs come onto."""
    if not any(asked.values()) and _cursor() is None:
        return ""
    names = [name for job in jobs for name in (job.id, job.ref) if name]
    return " ".join(names) or "none"
