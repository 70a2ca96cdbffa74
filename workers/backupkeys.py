"""Which keys of the ledger a backup holds for themselves, which go with their job, and which it leaves out. Pure."""

from collections.abc import Sequence
from typing import Final

from workers import keys

# What no backup holds: it says who is there just now, or is made anew. Nudges are RQ's keys, and come again when due.
PASSING: Final = (
    keys.PRESENT,
    keys.CHECK,
    keys.RESTORING,
    f"{keys.PREFIX}probe",
    f"{keys.PREFIX}replicated",
    f"{keys.PREFIX}console:tries:",
    keys.given(""),
    f"{keys.PREFIX}jobs",  # the index of an earlier version; those by state are places
)
# What goes with the job or submission whose it is, as its keys or as its places.
OF_SUBJECTS: Final = (
    *(f"{keys.PREFIX}{family}:" for family in ("job", "ref", "render", "delivery")),
    *(f"{keys.PREFIX}{family}:" for family in ("timeline", "callbacks", "bodies", "seen")),
    *(f"{keys.PREFIX}{family}:" for family in ("due", "jobs", "parked")),
    keys.TARGETS,
    keys.GROUPS,
    keys.ENDED,
    keys.UNPACKED,
    keys.UNARCHIVED,
    keys.PARKED_DELIVERIES,
    f"{keys.PREFIX}freeing",
    keys.BUSY,
    f"{keys.BUSY}@",
)


def is_of_all(key: str) -> bool:
    """Whether a key of ours is nobody's in particular, and a backup holds it for itself."""
    if _is_among(key, OF_SUBJECTS) or _is_among(key, PASSING):
        return False
    # What was sent within the last seconds. By the time of a restore it is long over.
    return not (key.startswith(f"{keys.PREFIX}budget") and key.endswith((":slots", ":claims")))


def _is_among(key: str, names: Sequence[str]) -> bool:
    return any(key.startswith(name) if name.endswith((":", "@")) else key == name for name in names)
