"""What a nudge looks like as an RQ job: made once by RQ itself, copied by the scripts with other arguments.

RQ's own ``create_job`` and ``to_dict`` say which fields a job has. The scripts only replace three placeholders in its
arguments, so that taking a callback and nudging a worker is one atomic write without a Python object per nudge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis import ConnectionError, Redis, TimeoutError  # noqa: A004 - the library's names
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from workers.identifiers import Subject, parse_subject
from workers.work import LANES, STEP_TIMEOUT_S

# The name of this function is stored in every queued job: moving it breaks the jobs that wait.
ENTRY_POINT = "workers.jobs.run_step"
_RESULT_TTL_S = 0
_BORN = "2026-01-01T00:00:00.000000Z"
_FAILURE_TTL_S = 3600
# What a nudge is written with, and what RQ notes beside it while it runs.
_READ = frozenset({
    b"data", b"origin", b"description", b"created_at", b"timeout", b"result_ttl", b"failure_ttl", b"status",
    b"started_at", b"ended_at", b"last_heartbeat", b"worker_name",
})  # fmt: skip


class StepJob(Job):
    """An RQ job that runs the one entry point and nothing else, whatever somebody wrote into Redis.

    A job that cannot be read counts as gone: RQ's worker would end over it, and the next one too when it cleans up.
    Fields that no nudge has are not read at all: RQ would call what a job names as its callback.
    """

    # Whether its step took so much that the process should do no other one after it.
    spent = False

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> Job:  # noqa: A002 - RQ's name
        try:
            return super().fetch(id, connection=connection, serializer=serializer)
        except (NoSuchJobError, ConnectionError, TimeoutError):
            raise
        except Exception as error:
            raise NoSuchJobError(f"{id!r:.80} is no nudge: {type(error).__name__}") from error

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        super().restore({name: value for name, value in raw_data.items() if name in _READ})
        if not 0 < (self.timeout or 0) <= max(STEP_TIMEOUT_S.values()):
            raise NoSuchJobError(f"{self.key} has no usable timeout")

    def perform(self) -> None:
        self.spent = bool(super().perform())

    @property
    def func(self) -> object:
        if self.instance is not None or self.func_name != ENTRY_POINT:
            raise PermissionError(f"{self.func_name!r} is not the entry point of steps; the job is refused")
        return super().func


@dataclass(frozen=True, slots=True)
class NudgeTemplate:
    data: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Nudge:
    step: str
    subject: Subject
    attempt: int


def nudge_of(job: Job) -> Nudge | None:
    """Read what a job asks for; None if that is no step of ours."""
    try:
        step, subject, attempt = job.args
        return Nudge(str(step), parse_subject(subject), int(attempt))
    except Exception:  # noqa: BLE001 - its arguments are whatever somebody wrote into Redis
        return None


def queue(connection: Redis, lane: str) -> Queue:
    return Queue(lane, connection=connection, job_class=StepJob, serializer=JSONSerializer)


def template(connection: Redis, lane: str) -> NudgeTemplate:
    job = queue(connection, lane).create_job(
        ENTRY_POINT,
        args=("@STEP@", "@SUBJECT@", "@ATTEMPT@"),
        timeout=STEP_TIMEOUT_S[lane],
        result_ttl=_RESULT_TTL_S,
        failure_ttl=_FAILURE_TTL_S,
        description="a step of swiftia-receiver",
    )
    fields = {name: _text(value) for name, value in job.to_dict().items() if name != "data"}
    # The same text from each process: Redis keeps every script that it has ever seen, with this in it.
    fields["created_at"] = _BORN
    # RQ also reads arguments that are not compressed; placeholders could not be replaced in compressed ones.
    return NudgeTemplate(data=job.data.decode(), fields=fields)


def _text(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def templates(connection: Redis) -> dict[str, NudgeTemplate]:
    return {lane: template(connection, lane) for lane in LANES}
