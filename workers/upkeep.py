"""The part of the ledger for what has ended: packed, sent again, set going again, freed at Swiftia, erased."""

from workers import keys
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, Subject, parse_subject
from workers.records import Freeing
from workers.scribe import Scribe, carried

ERASED_REMEMBERED_S = 30 * 86_400


class Upkeep(Scribe):
    # Files at Swiftia that are kept here

    def take_freeing(self, *, again_s: float) -> Freeing | None:
        """The job whose files are to be deleted there next. It comes again after ``again_s`` unless ``freed``."""
        answer = self._run("take_freeing", {"again_ms": round(again_s * 1000)})
        return Freeing(answer[0].decode(), answer[1].decode(), answer[2]) if answer else None

    def freed(self, job_id: str, event: str, **fields: object) -> bool:
        """They are deleted, or will not be."""
        return bool(self._run("freed", {"subject": job_id, "event": event, "fields": fields}))

    # What has come to rest

    def pack_one(self) -> bool:
        """Pack the next job that has come to rest, so that it takes little room. False if there is none just now."""
        return bool(self._read(self._attic.pack_one, self._timed({})))

    # What a person asks for

    def retry(self, subject: JobSubject | RefSubject) -> int:
        """Set going again what is parked or failed. Answers how many subjects that were."""
        return int(self._run("retry", {"subject": str(subject), **carried()}))

    def redeliver(self, subject: DeliverySubject) -> bool:
        """Send again what was delivered or parked, when its turn comes. False if it is on its way, or not there."""
        return bool(self._run("redeliver", {"subject": str(subject), **carried()}))

    def parked_deliveries(self, *, since_ms: int, most: int) -> list[DeliverySubject]:
        """What was parked at ``since_ms`` or later, the oldest first."""
        names = self._read(self._redis.zrangebyscore, keys.PARKED_DELIVERIES, since_ms, "+inf", 0, most)
        parsed = [parse_subject(name.decode()) for name in names]
        return [subject for subject in parsed if isinstance(subject, DeliverySubject)]

    def old(self, *, age_s: float, most: int) -> list[JobSubject | RefSubject]:
        """What finished or failed so long ago, the first first."""
        found = self._run("old", {"old_ms": round(age_s * 1000), "most": most})
        parsed = [parse_subject(name.decode()) for name in found]
        return [subject for subject in parsed if isinstance(subject, JobSubject | RefSubject)]

    def refs(self, subject: JobSubject | RefSubject) -> list[str]:
        """Every ref that stands for a job or a submission."""
        found = self._read(self._redis.hmget, keys.record(subject), "ref", "more_refs")
        own = [subject.ref] if isinstance(subject, RefSubject) else []
        return own + b" ".join(names for names in found if names).decode().split()

    def fence(self, subject: JobSubject | RefSubject, *, age_s: float | None = None) -> bool:
        """End every attempt on a job and its renders, so that nothing writes about it any more.

        ``age_s``: only if it ended so long ago, none of its deliveries is on its way, and nobody else erases it now.
        """
        return bool(self._erase(subject, fence=1, old_ms=None if age_s is None else round(age_s * 1000)))

    def erase(self, subject: JobSubject | RefSubject) -> bool:
        """Remove every key of a job."""
        return bool(self._keep("erase", self._of_erase(subject, fence=0)))

    def withdraw(self, subject: RefSubject, attempt: int) -> bool:
        """Remove a submission that came to nothing, and its Idempotency-Key. False if a later attempt has begun."""
        return bool(self._erase(subject, fence=0, attempt=str(attempt)))

    def _erase(self, subject: Subject, *, fence: int, old_ms: int | None = None, attempt: str | None = None) -> int:
        return int(self._run("erase", self._of_erase(subject, fence=fence, old_ms=old_ms, attempt=attempt)))

    def _of_erase(
        self, subject: Subject, *, fence: int, old_ms: int | None = None, attempt: str | None = None
    ) -> dict[str, object]:
        remember_ms = ERASED_REMEMBERED_S * 1000
        asked = {"subject": str(subject), "fence": fence, "old_ms": old_ms, "attempt": attempt}
        return {**asked, "remember_ms": remember_ms}
