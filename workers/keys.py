"""Every key of ours in Redis. All keys of a job can be named from its id, its ref and its number of renders."""

from typing import Final

from workers.identifiers import JobSubject, RefSubject, RenderSubject, Subject

PREFIX: Final = "sr:"
ALL_JOBS: Final = f"{PREFIX}jobs"
UNIDENTIFIED: Final = f"{PREFIX}unidentified"
ERASED: Final = f"{PREFIX}erased"
UNARCHIVED: Final = f"{PREFIX}unarchived"
CLOCK: Final = f"{PREFIX}clock"


def record(subject: Subject) -> str:
    """The hash that holds a subject's state."""
    match subject:
        case JobSubject():
            return f"{PREFIX}job:{subject}"
        case RenderSubject():
            return f"{PREFIX}render:{subject}"
        case RefSubject():
            return f"{PREFIX}{subject}"


def timeline(owner: JobSubject | RefSubject) -> str:
    return f"{PREFIX}timeline:{owner}"


def callbacks(owner: JobSubject | RefSubject) -> str:
    return f"{PREFIX}callbacks:{owner}"


def bodies(owner: JobSubject | RefSubject) -> str:
    """Callback bodies by receipt, until they are kept as artifacts."""
    return f"{PREFIX}bodies:{owner}"


def seen(owner: JobSubject | RefSubject) -> str:
    """Digests of the callbacks that were received."""
    return f"{PREFIX}seen:{owner}"


def jobs_in(state: str) -> str:
    return f"{PREFIX}jobs:{state}"


def due(name: str) -> str:
    return f"{PREFIX}due:{name}"


def idempotency(digest: str) -> str:
    return f"{PREFIX}idempotency:{digest}"
