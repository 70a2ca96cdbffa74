"""The read side of the ledger: jobs one by one, and page by page, newest first. Writes nothing."""

import hashlib
from collections.abc import Sequence

from redis import Redis

from workers import keys
from workers.filters import EVERYTHING, Wanted
from workers.holdings import Holding, Holdings
from workers.identifiers import JobSubject, RefSubject, is_job_id, is_ref, parse_subject
from workers.listing import Listing, Page
from workers.reader import Reader
from workers.states import JobState, RefState
from workers.summaries import JobSummary, summary_of_job, summary_of_ref
from workers.views import JobView, RenderView, delivery_view, job_view, render_view


class Catalog:
    """Raises ``LedgerUnavailable`` from every method when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reader = Reader(redis)
        self._holdings = Holdings(self._reader)
        self._listing = Listing(redis)

    def find(self, name: str) -> JobView | None:
        """Look a job up by its id or by its ref, which may be written ``ref:<ref>``."""
        found = self.job(name) if is_job_id(name) else None
        ref = name.removeprefix("ref:")
        return self.ref(ref) if found is None and is_ref(ref) else found

    def job(self, job_id: str) -> JobView | None:
        held = self._holdings.of(JobSubject(job_id))
        if "state" not in held.fields:
            return None
        return _view(
            held,
            summary_of_job(job_id, held.fields, list(held.renders.values())),
            renders=[render_view(job_id, n, render) for n, render in held.renders.items()],
        )

    def ref(self, ref: str) -> JobView | None:
        """Give the job that a ref belongs to, or the submission itself as long as its job id is not known."""
        held = self._holdings.of(RefSubject(ref))
        if held.fields.get("state") == RefState.LINKED:
            return self.job(held.fields["job_id"])
        return _view(held, summary_of_ref(ref, held.fields)) if "state" in held.fields else None

    def jobs(self, wanted: Wanted, cursor: str | None, limit: int) -> Page:
        """List one page: see ``Listing.page``."""
        return self._listing.page(wanted, cursor, limit)

    def search(self, text: str, wanted: Wanted = EVERYTHING, *, cursor: str | None = None, limit: int = 50) -> Page:
        """Look for one job by its id or ref; else for those with ``key=value`` in the metadata, or words in the title.

        One page, newest first, of those that are ``wanted`` too. Raises as ``Listing.page``, and ``InvalidInput`` for a
        text that is empty or too long.
        """
        return self._listing.search(text, wanted, cursor, limit)

    def counts(self) -> dict[str, int]:
        """How many jobs, and submissions without a job id, are in each state."""
        found = self._reader.many([("ZCARD", keys.jobs_in(state), ()) for state in JobState])
        return {state.value: int(number) for state, number in zip(JobState, found, strict=True)}

    def subjects(self, state: JobState) -> list[JobSubject | RefSubject]:
        """Everything in a state, oldest first."""
        names = self._reader.ask(lambda: self._redis.zrange(keys.jobs_in(state), 0, -1))
        parsed = [parse_subject(name.decode()) for name in names]
        return [subject for subject in parsed if isinstance(subject, JobSubject | RefSubject)]

    def callback_body(self, owner: JobSubject | RefSubject, receipt: str) -> bytes | None:
        """A callback's body as long as it is not kept as an artifact yet."""
        body: bytes | None = self._reader.ask(lambda: self._redis.hget(keys.bodies(owner), receipt))
        return body

    def is_erased(self, name: str) -> bool:
        """Whether a job of this id or ref was erased lately."""
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        return self._reader.ask(lambda: self._redis.zscore(keys.ERASED, digest)) is not None


def _view(held: Holding, summary: JobSummary, *, renders: Sequence[RenderView] = ()) -> JobView:
    return job_view(
        summary,
        held.fields,
        renders=renders,
        deliveries=[delivery_view(n, delivery) for n, delivery in held.deliveries.items()],
        callbacks=held.callbacks,
        timeline=held.timeline,
    )
