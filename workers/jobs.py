"""The one function that RQ calls.

Its place and its arguments stand in every queued nudge: moving it breaks the nudges that wait.
"""

from workers import tracing
from workers.attempts import Attempts
from workers.identifiers import parse_subject
from workers.records import Record

# RQ imports this module by name and calls a plain function: what a worker process has built has to be put here.
_bound: list[Attempts] = []


def bind(attempts: Attempts) -> None:
    """Say what this process runs steps with. Called once, before the worker starts."""
    _bound[:] = [attempts]


def bound() -> Attempts:
    if not _bound:
        raise RuntimeError("no steps are bound in this process; start workers with: swiftia-receiver worker")
    return _bound[0]


def run_step(step: str, subject: str, attempt: int) -> bool:
    """Answers whether the step took so much that this process should do no other one."""
    attempts = bound()
    try:
        return attempts.run(step, parse_subject(subject), int(attempt))
    finally:
        tracing.flush()  # the work-horse ends without a word


def carry_out(record: Record) -> bool:
    """Do an attempt that this process has claimed. Answers whether it may do another one, as after most it may."""
    try:
        return bound().carry_out(record) is not None
    finally:
        tracing.flush()
