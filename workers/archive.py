"""Callback bodies move from the ledger, where accepting put them, to the artifact store, where there is room."""

from collections.abc import Iterable, Mapping

from workers.artifacts import Artifacts
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.paths import ArtifactPath, callback_path


def keep_callbacks(ledger: Ledger, artifacts: Artifacts, job: JobSubject) -> int:
    """Keep every body that a job has in the ledger. Repeating it writes the same files again."""
    bodies = ledger.take_bodies(job)
    artifacts.put_all(files_of(job, bodies))
    still_there = ledger.drop_bodies(job, bodies)
    if bodies and not still_there:
        artifacts.delete_job(job.job_id)  # the job was erased meanwhile, and these with it
    return len(bodies)


def files_of(job: JobSubject, bodies: Mapping[str, bytes]) -> Iterable[tuple[ArtifactPath, bytes]]:
    """Give where each body, by its receipt, is kept."""
    return [(callback_path(job.job_id, receipt), body) for receipt, body in bodies.items()]
