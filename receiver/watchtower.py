"""What ``top`` sees of a running service, by its API alone, so that it works from afar."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from receiver.api_client import Api
from receiver.sightings import printable
from workers.documents import member, number, objects, whole
from workers.errors import InvalidInput, ServiceError
from workers.states import JobState
from workers.work import CLASSES, LANES, UPSTREAM

_PREFIX: Final = "swiftia_receiver_"
_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Budget:
    """One account's. ``waiting``: by class."""

    account: str
    used: int
    limit: int
    window_s: float
    waiting: Mapping[str, int]
    pause_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Hand:
    where: str
    lane: str
    doing: str


@dataclass(frozen=True, slots=True)
class Sight:
    """How all of it stands. ``due`` and ``late_s``: by class. ``clock``: seconds since it passed, None if it never did.

    ``spool``: callbacks on that machine's disk; None where its disk does not tell. ``redis``: whether it takes writes.
    """

    redis: bool
    jobs: Mapping[str, int] = field(default_factory=dict)
    due: Mapping[str, int] = field(default_factory=dict)
    late_s: Mapping[str, float] = field(default_factory=dict)
    budgets: Sequence[Budget] = ()
    hands: Sequence[Hand] = ()
    queued: Mapping[str, int] = field(default_factory=dict)
    workers: int = 0
    clock: Mapping[str, float | None] = field(default_factory=dict)
    spool: int | None = None
    parked_deliveries: int = 0


def look(api: Api) -> Sight:
    """Raises as ``Api`` does. Without Redis only what the machine that answers knows."""
    gauges = _gauges(api.page("/metrics"))
    ready = api.look("/readyz")
    clock, spool = member(ready, "clock"), member(ready, "spool")
    passed = {lane: number(member(clock, lane)) for lane in LANES}
    alone = Sight(redis=False, spool=whole(member(spool, "count")), clock=passed)
    if not gauges.get(("redis_up", "")):
        return alone
    try:
        budget, crew = api.look("/api/budget"), api.look("/api/workers")
    except ServiceError:
        return alone
    return replace(
        alone,
        redis=True,
        jobs={state.value: round(gauges.get(("jobs", state.value), 0)) for state in JobState},
        due={name: round(gauges.get(("due", name), 0)) for names in CLASSES.values() for name in names}
        | {"deliver": round(gauges.get(("due", "deliver"), 0))},
        late_s={name: value for (metric, name), value in gauges.items() if metric == "due_overdue_seconds"},
        budgets=_budgets(budget),
        hands=[_hand(one) for one in objects(crew, "workers")],
        queued={lane: whole(member(member(crew, "queued"), lane)) or 0 for lane in LANES},
        workers=whole(member(crew, "count")) or 0,
        parked_deliveries=round(gauges.get(("deliveries_parked", ""), 0)),
    )


def _gauges(text: str) -> dict[tuple[str, str], float]:
    """By name and the value of the one label; what has more of them is left out."""
    found = {}
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError:
        raise InvalidInput("what answers at /metrics is not in Prometheus's text format") from None
    for sample in (sample for family in families for sample in family.samples):
        if sample.name.startswith(_PREFIX) and len(sample.labels) <= 1 and math.isfinite(sample.value):
            found[sample.name.removeprefix(_PREFIX), next(iter(sample.labels.values()), "")] = sample.value
    return found


def _budgets(document: object) -> list[Budget]:
    accounts = member(document, "accounts")
    named = accounts if isinstance(accounts, dict) else {"": document}
    return [_budget(printable(name), one) for name, one in named.items()]


def _budget(account: str, document: object) -> Budget:
    waiting = member(document, "waiting")
    return Budget(
        account,
        used=whole(member(document, "used")) or 0,
        limit=whole(member(document, "limit")) or 0,
        window_s=number(member(document, "window")) or 0.0,
        waiting={name: whole(member(waiting, name)) or 0 for name in CLASSES[UPSTREAM]},
        pause_s=number(member(document, "pause")) or 0.0,
        reason=printable(member(document, "pause_reason")),
    )


def _hand(document: Mapping[str, Any]) -> Hand:
    task = document.get("task")
    doing = f"{printable(member(task, 'step'))} {printable(member(task, 'subject'))}" if task else ""
    where = f"{printable(document.get('host'))} {printable(document.get('pid'))}"
    return Hand(where, printable(document.get("lane")), doing)


class Latest:
    """The latest things that happened, the newest last; a thread listens for them."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_EVENTS)
        self.changed = threading.Event()

    def listen(self, changes: Callable[[], Iterable[object]]) -> None:
        """Until the stream ends. What keeps it from being read is one line among them."""
        try:
            for change in changes():
                self.add(change)
        except ServiceError as error:
            self._lines.append(error.message)
            self.changed.set()

    def add(self, change: object) -> None:
        event = printable(member(change, "event"))
        if event:
            self._lines.append(_line(change, event))
            self.changed.set()

    def last(self, most: int) -> list[str]:
        return list(self._lines)[-most:] if most > 0 else []


def _line(change: object, event: str) -> str:
    subject = printable(member(change, "id", "ref"))
    part = whole(member(change, "render"))
    delivery = whole(member(change, "delivery"))
    name = subject + (f"/{part}" if part else f"!{delivery}" if delivery else "")
    at = printable(member(change, "at"))[11:19]
    done = number(member(change, "progress"))
    return " ".join(
        word
        for word in (at, name, event, printable(member(change, "state")), "" if done is None else f"{done:.0%}")
        if word
    )
