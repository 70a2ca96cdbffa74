"""The one function that RQ calls.

Its place and its arguments stand in every queued nudge: moving it breaks the nudges that wait.
"""

from workers import tracing
from workers.attempts import Attempts
from workers.identifiers import parse_subject

# RQ imports this module by name and calls a plain function: what a worker process has built has to be put here.
_bound: list[Attempts] = []


def bind(attempts: Attempts) -> None:
    """Say what this process runs steps with. Called once, before the worker starts."""
    _bound[:] = [attempts]


def run_step(step: str, subject: str, attempt: int) -> bool:
    """Answers whether the step took so much that this process should do no other one."""
    if not _bound:
        raise RuntimeError("no steps are bound in this process; start workers with: swiftia-receiver worker")
    try:
        return _bound[0].run(step, parse_subject(subject), int(attempt))
    finally:
        tracing.flush()  # the work-horse ends without a word
