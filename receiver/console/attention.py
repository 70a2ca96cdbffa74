"""What needs a human, the worst first, each with what to do about it. Pure: what is known in, notices out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from receiver.console.words import counted, duration
from workers.hours import Hour
from workers.parked import Group
from workers.parking import why
from workers.standing import BudgetState

BAD: Final = "bad"
WARN: Final = "warn"
_CLOCK_SILENT_S: Final = 15.0
# So much of the spool's room in use is more than a hiccup of Redis.
_FILLING: Final = 0.5
_GROUPS_SHOWN: Final = 4
_GIGA: Final = 1e9


@dataclass(frozen=True, slots=True)
class Notice:
    """``what`` is the matter, in a few words; ``tells`` how much; ``do``: the remedy. ``href``: where that is done."""

    level: str
    what: str
    tells: str
    do: str
    href: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Spooled:
    """``waiting``: callbacks for Redis; ``aside``: what Redis would not take. ``full``: the part of its room in use."""

    waiting: int
    aside: int
    full: float


@dataclass(frozen=True, slots=True)
class Room:
    free: int
    spare: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Known:
    """All that the overview goes by. ``at``: Unix seconds. ``redis``: whether it answers; else all that is its is of
    ``at`` or empty. ``hands``: workers by lane. ``present``: processes by kind. ``storage``: percent used at Swiftia.
    """

    at: float
    redis: bool
    spool: Spooled | None
    room: Room | None
    jobs: Mapping[str, int]
    due: Mapping[str, tuple[int, float]]
    day: Sequence[Hour]
    budgets: Mapping[str, BudgetState]
    groups: Sequence[Group]
    clock: Mapping[str, float | None]
    hands: Mapping[str, int]
    busy: Mapping[str, int]
    present: Mapping[str, int]
    storage: Mapping[str, float]
    storage_warn: float
    deliveries_parked: int
    archive_soon: int


def notices(known: Known) -> list[Notice]:
    found = [*_of_this_machine(known)]
    if known.redis:
        found += [*_of_processes(known), *_of_budgets(known), *_of_jobs(known), *_of_storage(known)]
    return sorted(found, key=lambda notice: notice.level != BAD)


def _of_this_machine(known: Known) -> Iterator[Notice]:
    if not known.redis:
        kept = "Callbacks are kept on this machine's disk and acknowledged; nothing else goes on."
        yield Notice(BAD, "Redis does not answer", kept, "Start it, or see what Check says.", "/check", "Check")
    spool = known.spool
    if spool is None:
        do = "Look at DATA_DIR: its disk may be full or read-only."
        yield Notice(BAD, "The spool cannot be read", "Callbacks could not be kept while Redis is away.", do)
        return
    if spool.aside:
        do = "The log of web says why. A restart tries them again."
        yield Notice(BAD, "Callbacks set aside", f"Redis would not take {counted(spool.aside, 'callback')}.", do)
    if spool.full >= _FILLING:
        tells = f"{counted(spool.waiting, 'callback')} fill {spool.full:.0%} of SPOOL_MAX_BYTES; more are refused."
        yield Notice(BAD, "The spool fills up", tells, "Bring Redis back, or raise SPOOL_MAX_BYTES.", "/check", "Check")
    elif spool.waiting and known.redis:
        tells = f"So many wait here for Redis: {spool.waiting:,}."
        yield Notice(WARN, "Callbacks in the spool", tells, "They are handed on by themselves within seconds.")


def _of_processes(known: Known) -> Iterator[Notice]:
    yield from _of_clocks(known.clock)
    for lane, count in known.hands.items():
        if not count:
            do = f"Start one: swiftia-receiver worker --lane {lane} (up does it too)."
            yield Notice(BAD, "No worker", f"Nobody works on the lane {lane}.", do, "/workers", "Workers")
    waiting, _ = known.due.get("deliver", (0, 0.0))
    if waiting and not known.present.get("courier"):
        do = "Start one: swiftia-receiver worker --lane deliveries (up does it too)."
        tells = f"So many events wait for your application: {waiting:,}."
        yield Notice(BAD, "No courier", tells, do, "/workers", "Workers")


def _of_clocks(clock: Mapping[str, float | None]) -> Iterator[Notice]:
    silent = {lane: age for lane, age in clock.items() if age is None or age > _CLOCK_SILENT_S}
    if not silent:
        return
    ages = [age for age in silent.values() if age is not None]
    since = f"has been silent for {duration(round(min(ages)))}" if len(ages) == len(silent) else "never ran"
    whose = "" if len(silent) == len(clock) else f" of the lane {', '.join(silent)}"
    do = "Start one: swiftia-receiver clock (up does it too). Nothing that is due begins without it."
    yield Notice(BAD, "No clock", f"The clock{whose} {since}.", do, "/workers", "Workers")


def _of_budgets(known: Known) -> Iterator[Notice]:
    several = len(known.budgets) > 1
    for name, state in known.budgets.items():
        whose = f" of {name}" if several else ""
        again = f"It is asked again in {duration(round(state.pause_s))}."
        if not state.credentials_ok:
            do = f"Set a valid key{whose or ', SWIFTIA_API_KEY'}, and restart: all its work waits, and nothing is lost."
            yield Notice(BAD, f"Swiftia refuses the key{whose}", again, do)
        elif state.breaker != "closed":
            tells = f"Its answers{f' to {name}' if several else ''} failed in a row. {again}"
            do = "It goes on by itself, and nothing is lost. Look whether Swiftia is up."
            yield Notice(WARN, "Swiftia is away", tells, do, "/check", "Check")


def _of_jobs(known: Known) -> Iterator[Notice]:
    for group in known.groups[:_GROUPS_SHOWN]:
        told = why(group.name)
        href = f"/parked#{anchor(group.name)}"
        yield Notice(WARN, told.title, f"{counted(group.count, 'job')} parked.", told.remedy, href, "Look and retry")
    more = known.groups[_GROUPS_SHOWN:]
    if more:
        count = sum(group.count for group in more)
        tells = f"{counted(count, 'job')} parked for {counted(len(more), 'other reason')}."
        yield Notice(WARN, "More is parked", tells, "Each reason says what to do.", "/parked", "Parked")
    if known.archive_soon:
        tells = f"{counted(known.archive_soon, 'job')} not ended, of which Swiftia deletes the files within days."
        yield Notice(WARN, "Archived soon", tells, "Mend what keeps them, and retry them.", "/parked", "Parked")
    if known.deliveries_parked:
        tells = f"{counted(known.deliveries_parked, 'delivery', 'deliveries')} to your application given up."
        do = "Mend the application, then POST /api/deliveries/retry?state=parked, or redeliver from a job's page."
        yield Notice(WARN, "Deliveries parked", tells, do)


def _of_storage(known: Known) -> Iterator[Notice]:
    if known.room is not None and known.room.paused:
        free, spare = known.room.free / _GIGA, known.room.spare / _GIGA
        tells = f"{free:.1f} GB are free and {spare:.1f} GB are to stay free: downloads wait."
        yield Notice(BAD, "The disk is full", tells, "Free some space and they go on, or lower MIN_FREE_BYTES.")
    several = len(known.storage) > 1
    for name, percent in known.storage.items():
        if percent >= known.storage_warn:
            whose = f" of {name or 'default'}" if several else ""
            do = "Delete files there (FREE_UPSTREAM does it by itself) or take a bigger plan: full, it takes no jobs."
            yield Notice(WARN, f"Swiftia's storage{whose} fills up", f"{percent:.0f} % of it are used.", do)


def anchor(group: str) -> str:
    """A name for a place in a page: letters, digits and dashes.

    >>> anchor("~the moon is in *"), anchor("no-credit")
    ('g-the-moon-is-in', 'g-no-credit')
    """
    words = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in group.lower()).split()
    return "-".join(["g", *words])
