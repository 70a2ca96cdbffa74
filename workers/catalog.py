"""The read side of the ledger: jobs one by one, and page by page, newest first. Writes nothing."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis, RedisError

from workers import keys
from workers.errors import InvalidInput, LedgerUnavailable
from workers.identifiers import JobSubject, RefSubject, RenderSubject, Subject, is_job_id, is_ref, parse_subject
from workers.states import JobState, RefState
from workers.views import JobSummary, JobView, job_view, render_view, summary_of_job, summary_of_ref

MAX_PAGE: Final = 100
_CURSOR = re.compile(r"([0-9]{1,15}):([\x21-\x7e]{1,140})", re.ASCII)
# More commands than these in one pipeline would hold too many answers in memory at once.
_PIPELINE = 2000

Fields = Mapping[str, str]
Command = tuple[str, str, tuple[str, ...]]
Entry = tuple[float, bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: the cursor of the page that follows, None at the end."""

    items: tuple[JobSummary, ...]
    next: str | None


class Catalog:
    """Raises ``LedgerUnavailable`` from every method when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def find(self, name: str) -> JobView | None:
        """Look a job up by its id or by its ref, which may be written ``ref:<ref>``."""
        found = self.job(name) if is_job_id(name) else None
        ref = name.removeprefix("ref:")
        return self.ref(ref) if found is None and is_ref(ref) else found

    def job(self, job_id: str) -> JobView | None:
        fields, callbacks, timeline = self._owner(JobSubject(job_id))
        if "state" not in fields:
            return None
        renders = self._renders(job_id, fields)
        summary = summary_of_job(job_id, fields, list(renders.values()))
        views = [render_view(job_id, n, render) for n, render in renders.items()]
        return job_view(summary, fields, renders=views, callbacks=callbacks, timeline=timeline)

    def ref(self, ref: str) -> JobView | None:
        """Give the job that a ref belongs to, or the submission itself as long as its job id is not known."""
        fields, callbacks, timeline = self._owner(RefSubject(ref))
        if fields.get("state") == RefState.LINKED:
            return self.job(fields["job_id"])
        if "state" not in fields:
            return None
        return job_view(summary_of_ref(ref, fields), fields, callbacks=callbacks, timeline=timeline)

    def jobs(self, state: JobState | None, cursor: str | None, limit: int) -> Page:
        """List one page, newest first. What is added or leaves meanwhile shifts nothing.

        Raises ``InvalidInput`` for a cursor that is none of ours and for a ``limit`` outside 1 to ``MAX_PAGE``.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidInput(f"limit is 1 to {MAX_PAGE}", got=limit)
        key = keys.ALL_JOBS if state is None else keys.jobs_in(state)
        entries = self._before(key, None if cursor is None else _read_cursor(cursor), limit + 1)
        more = len(entries) > limit
        return Page(self._summaries(entries[:limit]), _write_cursor(*entries[limit - 1]) if more else None)

    def counts(self) -> dict[str, int]:
        """How many jobs, and submissions without a job id, are in each state."""
        found = self._many([("ZCARD", keys.jobs_in(state), ()) for state in JobState])
        return {state.value: int(number) for state, number in zip(JobState, found, strict=True)}

    def subjects(self, state: JobState) -> list[JobSubject | RefSubject]:
        """Everything in a state, oldest first."""
        names = self._ask(lambda: self._redis.zrange(keys.jobs_in(state), 0, -1))
        parsed = [parse_subject(name.decode()) for name in names]
        return [subject for subject in parsed if not isinstance(subject, RenderSubject)]

    def callback_body(self, owner: JobSubject | RefSubject, receipt: str) -> bytes | None:
        """A callback's body as long as it is not kept as an artifact yet."""
        body: bytes | None = self._ask(lambda: self._redis.hget(keys.bodies(owner), receipt))
        return body

    def is_erased(self, name: str) -> bool:
        """Whether a job of this id or ref was erased lately."""
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        return self._ask(lambda: self._redis.zscore(keys.ERASED, digest)) is not None

    def _owner(self, owner: JobSubject | RefSubject) -> tuple[Fields, list[str], list[str]]:
        fields, callbacks, timeline = self._many(
            [
                ("HGETALL", keys.record(owner), ()),
                ("LRANGE", keys.callbacks(owner), ("0", "-1")),
                ("LRANGE", keys.timeline(owner), ("0", "-1")),
            ]
        )
        return _texts(fields), [_text(entry) for entry in callbacks], [_text(entry) for entry in timeline]

    def _renders(self, job_id: str, fields: Fields) -> dict[int, Fields]:
        numbers = range(1, int(fields.get("renders", "0")) + 1)
        found = self._many([("HGETALL", keys.record(RenderSubject(job_id, n)), ()) for n in numbers])
        return {n: _texts(render) for n, render in zip(numbers, found, strict=True) if render}

    def _before(self, key: str, start: Entry | None, most: int) -> list[Entry]:
        """Up to ``most`` entries that stand after ``start`` in a listing, newest first."""
        if start is None:
            return self._entries(key, "+inf", 0, most)
        found: list[Entry] = []
        offset = 0
        while len(found) < most:
            batch = self._entries(key, f"{start[0]:.0f}", offset, most)
            # Those of the very same millisecond may have been listed: their names decide.
            found += [entry for entry in batch if entry < start]
            offset += len(batch)
            if len(batch) < most:
                break
        return found[:most]

    def _entries(self, key: str, highest: str, offset: int, most: int) -> list[Entry]:
        answer = self._ask(
            lambda: self._redis.zrevrangebyscore(key, highest, "-inf", start=offset, num=most, withscores=True)
        )
        return [(float(score), member) for member, score in answer]

    def _summaries(self, entries: Sequence[Entry]) -> tuple[JobSummary, ...]:
        subjects = [parse_subject(member.decode()) for _, member in entries]
        found = self._many([("HGETALL", keys.record(subject), ()) for subject in subjects])
        records = [(subject, _texts(fields)) for subject, fields in zip(subjects, found, strict=True)]
        there = [(subject, fields) for subject, fields in records if "state" in fields]
        renders = self._progress_of_renders(there)
        return tuple(_summary(subject, fields, next(renders)) for subject, fields in there)

    def _progress_of_renders(self, records: Sequence[tuple[Subject, Fields]]) -> Iterator[list[Fields]]:
        counts = [int(fields.get("renders", "0")) for _, fields in records]
        names = ("state", "progress")
        found = iter(
            self._many(
                [
                    ("HMGET", keys.record(RenderSubject(str(subject), n)), names)
                    for (subject, _), total in zip(records, counts, strict=True)
                    for n in range(1, total + 1)
                ]
            )
        )
        for total in counts:
            values = [dict(zip(names, next(found), strict=True)) for _ in range(total)]
            yield [_texts({name: value for name, value in fields.items() if value is not None}) for fields in values]

    def _many(self, commands: Sequence[Command]) -> list[Any]:
        answers: list[Any] = []
        for first in range(0, len(commands), _PIPELINE):
            pipeline: Any = self._redis.pipeline(transaction=False)
            for name, key, arguments in commands[first : first + _PIPELINE]:
                pipeline.execute_command(name, key, *arguments)
            answers += self._ask(pipeline.execute)
        return answers

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except RedisError as error:
            raise LedgerUnavailable(f"Redis did not answer as it should: {error}") from error


def _summary(subject: Subject, fields: Fields, renders: Sequence[Fields]) -> JobSummary:
    if isinstance(subject, RefSubject):
        return summary_of_ref(subject.ref, fields)
    return summary_of_job(str(subject), fields, renders)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _texts(fields: Mapping[Any, Any]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in fields.items()}


def _write_cursor(score: float, member: bytes) -> str:
    return base64.urlsafe_b64encode(b"%.0f:%s" % (score, member)).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> Entry:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        text = ""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidInput("this is no cursor of a listing; take the one in next, or none for the first page")
    return float(match[1]), match[2].encode()
