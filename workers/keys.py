"""Every key of ours in Redis.

All keys of a job can be named from its id, its refs and its numbers of
renders and deliveries.
"""

from typing import Final

from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject, Subject

PREFIX: Final = "sr:"
UNIDENTIFIED: Final = f"{PREFIX}unidentified"
ERASED: Final = f"{PREFIX}erased"
ENDED: Final = f"{PREFIX}ended"
UNARCHIVED: Final = f"{PREFIX}unarchived"
CLOCK: Final = f"{PREFIX}clock"
ACCOUNTS: Final = f"{PREFIX}accounts"
COUNTS: Final = f"{PREFIX}counts"
TARGETS: Final = f"{PREFIX}targets"
PARKED_DELIVERIES: Final = f"{PREFIX}deliveries:parked"
EVENTS: Final = f"{PREFIX}events"
GROUPS: Final = f"{PREFIX}parked"
PRESENT: Final = f"{PREFIX}present"
CHECK: Final = f"{PREFIX}check"
RESTORING: Final = f"{PREFIX}restoring"
MEASURES: Final = f"{PREFIX}measures"
UNPACKED: Final = f"{PREFIX}unpacked"
BUSY: Final = f"{PREFIX}busy"


def record(subject: Subject) -> str:
    """The hash that holds a subject's state."""
    match subject:
        case JobSubject():
            return f"{PREFIX}job:{subject}"
        case RenderSubject():
            return f"{PREFIX}render:{subject}"
        case RefSubject():
            return f"{PREFIX}{subject}"
        case DeliverySubject():
            return f"{PREFIX}delivery:{subject}"


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


def parked_in(group: str) -> str:
    """Parked jobs of one group (``workers/parking.py``), in the order of their parking."""
    return f"{GROUPS}:{group}"


def hour(number: int) -> str:
    """What happened in an hour, counted from the epoch (``workers/hours.py``)."""
    return f"{PREFIX}hour:{number}"


def line(name: str, account: str) -> str:
    """Where a class waits: what asks Swiftia for something waits apart for each account."""
    return f"{name}@{account}" if account else name


def due(name: str) -> str:
    return f"{PREFIX}due:{name}"


def budget(account: str) -> str:
    """What the keys of an account's request budget begin with (``lua/budget.lua``)."""
    return f"{PREFIX}{line('budget', account)}:"


def budget_measures(account: str) -> str:
    """What is counted of an account's requests."""
    return f"{budget(account)}measures"


def history(kind: str, account: str) -> str:
    """JSON: how long an account's renders, or jobs, take."""
    return f"{PREFIX}history:{line(kind, account)}"


def storage(account: str) -> str:
    """JSON: how full an account's storage at Swiftia was when it was last seen."""
    return f"{PREFIX}{line('storage', account)}"


def given(worker: str) -> str:
    """JSON: what a worker was given last of a shift (``lua/take_nudge.lua``)."""
    return f"{PREFIX}given:{worker}"


def tries(who: str) -> str:
    """How often ``who`` has tried in vain to sign in to the console."""
    return f"{PREFIX}console:tries:{who}"


def signed_out(session: str) -> str:
    """There as long as a session of the console that was ended could still be shown."""
    return f"{PREFIX}console:out:{session}"


def idempotency(digest: str) -> str:
    return f"{PREFIX}idempotency:{digest}"
