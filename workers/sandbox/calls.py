"""When the webhook of a job is called, and with what."""

import math
from dataclasses import dataclass

from workers.sandbox.callback_bodies import Notice, write
from workers.sandbox.config import SandboxConfig
from workers.sandbox.job_documents import document
from workers.sandbox.jobs import Job

_EAGER_PART = 0.3
_SECOND_AFTER = 0.2


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to come; ``attempt`` counts from 1. The body is written when it is sent, for it may be huge."""

    job: Job
    files: str
    huge_bytes: int
    attempt: int = 1

    def content(self) -> tuple[str, bytes]:
        """Return content type and body."""
        said = document(self.job, self.job.verdict, self.job.ends_at, files=self.files)
        return write(self.job.body_form, Notice(self.job.id, said, self.huge_bytes))


def call_times(job: Job, config: SandboxConfig) -> list[float]:
    """Say when to call, in epoch seconds; a time that has passed means at once."""
    silenced = "never-calls" in job.words or (job.fails and not config.failure_calls)
    if not job.webhook or silenced or job.ends_at == math.inf:
        return []
    at = job.ends_at
    if "eager-calls" in job.words:
        at = job.created_at + (job.ends_at - job.created_at) * _EAGER_PART
    if "late-calls" in job.words:
        at += config.late_seconds * config.time_scale
    return [at, at + _SECOND_AFTER * config.time_scale] if "twice-calls" in job.words else [at]
