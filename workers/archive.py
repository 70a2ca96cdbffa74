"""Callback bodies move from the ledger, where accepting put them, to the artifact store, where there is room."""

from workers.artifacts import Artifacts
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.paths import callback_path


def keep_callbacks(ledger: Ledger, artifacts: Artifacts, job: JobSubject) -> int:
    """Keep every body that a job has in the ledger. Repeating it writes the same files again."""
    bodies = ledger.take_bodies(job)
    for receipt, body in bodies.items():
        artifacts.put(callback_path(job.job_id, receipt), body)
    ledger.drop_bodies(job, bodies)
    if bodies and not ledger.exists(job):
        artifacts.delete_job(job.job_id)  # the job was erased meanwhile, and these with it
    return len(bodies)
