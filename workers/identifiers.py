"""Names that come from outside or go there: job ids, receipts, and the subjects that steps work on."""

import re
from dataclasses import dataclass

from workers.errors import InvalidInput

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_REF = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)
_ACCOUNT = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


def is_job_id(value: object) -> bool:
    """Only such an id may become part of a URL, a key or a path."""
    return isinstance(value, str) and _JOB_ID.fullmatch(value) is not None


def job_id(value: object) -> str:
    if not isinstance(value, str) or not is_job_id(value):
        raise InvalidInput("a job id is 1 to 128 letters, digits, '-' and '_'", got=repr(value)[:80])
    return value


def is_ref(value: object) -> bool:
    return isinstance(value, str) and _REF.fullmatch(value) is not None


def is_account(value: object) -> bool:
    """A named account. That of SWIFTIA_API_KEY has the empty name and stands nowhere."""
    return isinstance(value, str) and _ACCOUNT.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class JobSubject:
    """Written ``<job_id>``."""

    job_id: str

    def __str__(self) -> str:
        return self.job_id


@dataclass(frozen=True, slots=True)
class RenderSubject:
    """Written ``<job_id>/<n>``; n counts from 1."""

    job_id: str
    n: int

    def __str__(self) -> str:
        return f"{self.job_id}/{self.n}"


@dataclass(frozen=True, slots=True)
class RefSubject:
    """A submission that has no job id yet. Written ``ref:<ref>``; a job id holds no colon, so the two never meet."""

    ref: str

    def __str__(self) -> str:
        return f"ref:{self.ref}"


@dataclass(frozen=True, slots=True)
class DeliverySubject:
    """Written ``<owner>!<n>``; n counts from 1. The owner is a job, or a submission that has no job id yet."""

    owner: JobSubject | RefSubject
    n: int

    def __str__(self) -> str:
        return f"{self.owner}!{self.n}"


Subject = JobSubject | RenderSubject | RefSubject | DeliverySubject


def parse_subject(text: str) -> Subject:
    owner, mark, n = text.rpartition("!")
    if mark and "!" not in owner and _NUMBER.fullmatch(n):
        of = parse_subject(owner)
        if isinstance(of, JobSubject | RefSubject):
            return DeliverySubject(of, int(n))
    if text.startswith("ref:") and is_ref(text[4:]):
        return RefSubject(text[4:])
    job, slash, n = text.partition("/")
    if is_job_id(job) and not slash:
        return JobSubject(job)
    if is_job_id(job) and _NUMBER.fullmatch(n):
        return RenderSubject(job, int(n))
    raise InvalidInput("a subject is <job_id>, <job_id>/<n>, ref:<ref> or one of these with !<n>", got=repr(text)[:80])
