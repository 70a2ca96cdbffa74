"""What the overview shows, made of what is known: the template only writes it down. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from receiver.console import charts
from receiver.console.attention import Known, Notice, notices
from receiver.console.charts import Box, Chart
from receiver.console.words import counted, duration, size
from workers.hours import CALLBACKS, FAILED, FINISHED, KEPT, PARKED, Hour, percentile_s, series, together
from workers.moments import moment
from workers.standing import BudgetState
from workers.states import JobState
from workers.work import DELIVERIES, LANES

_ENDS: Final = (FINISHED, FAILED, PARKED)
_MEDIAN: Final = 0.5
_MOST: Final = 0.95
_CLOCK_SILENT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Row:
    """One hour, as the table tells it. ``typical`` and ``slow``: p50 and p95 from a callback to a kept video."""

    start: str
    finished: int
    failed: int
    parked: int
    callbacks: int
    kept: int
    typical: str
    slow: str


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that may be well or not. ``level``: ok, warn, bad or none where it says nothing."""

    level: str
    what: str
    tells: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """``part``: how full, 0 to 100. ``waits``: who waits for a request, by class, and how many."""

    name: str
    level: str
    used: int
    allowed: int
    window: str
    part: float
    says: str
    waits: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Figures:
    at: str | None
    redis: bool
    notices: Sequence[Notice]
    jobs: Mapping[str, int]
    share: Sequence[Box]
    ended: Chart
    kept: Chart
    waits: Chart
    rows: Sequence[Row]
    day: Hour
    typical: str
    slow: str
    gauges: Sequence[Gauge]
    lines: Sequence[Line]
    due: Sequence[tuple[str, int, str]]

    def tell_ended(self, index: int) -> str:
        row = self.rows[index]
        return f"{self._ago(index)}: {row.finished} finished, {row.failed} failed, {row.parked} parked"

    def tell_kept(self, index: int) -> str:
        row = self.rows[index]
        return f"{self._ago(index)}: {counted(row.kept, 'video')} kept, {counted(row.callbacks, 'callback')}"

    def tell_waits(self, index: int) -> str:
        row = self.rows[index]
        return f"{self._ago(index)}: half within {row.typical}, 95 % within {row.slow}"

    def _ago(self, index: int) -> str:
        hours = len(self.rows) - 1 - index
        return f"{counted(hours, 'hour')} ago" if hours else "this hour"


def figures(known: Known) -> Figures:
    day = together(known.day)
    counts = {state.value: known.jobs.get(state.value, 0) for state in JobState}
    waits = [_span(hour) for hour in known.day]
    return Figures(
        at=moment(known.at * 1000),
        redis=known.redis,
        notices=notices(known),
        jobs=counts,
        share=charts.share(counts),
        ended=charts.bars({name: series(known.day, name) for name in _ENDS}),
        kept=charts.bars({KEPT: series(known.day, KEPT)}),
        waits=charts.spans(waits),
        rows=[_row(hour) for hour in known.day],
        day=day,
        typical=_within(day, _MEDIAN),
        slow=_within(day, _MOST),
        gauges=[_gauge(name, state) for name, state in known.budgets.items()],
        lines=_lines(known),
        due=[(name, length, duration(late) if late else "") for name, (length, late) in known.due.items()],
    )


def _row(hour: Hour) -> Row:
    return Row(
        start=moment(hour.start * 1000) or "",
        finished=hour[FINISHED],
        failed=hour[FAILED],
        parked=hour[PARKED],
        callbacks=hour[CALLBACKS],
        kept=hour[KEPT],
        typical=_within(hour, _MEDIAN),
        slow=_within(hour, _MOST),
    )


def _span(hour: Hour) -> tuple[float, float] | None:
    low, high = percentile_s(hour.took, _MEDIAN), percentile_s(hour.took, _MOST)
    return None if low is None or high is None else (low, high)


def _within(hour: Hour, part: float) -> str:
    seconds = percentile_s(hour.took, part)
    return "" if seconds is None else duration(seconds)


def _gauge(name: str, state: BudgetState) -> Gauge:
    level, says = "ok", f"{state.free} may leave now"
    if not state.credentials_ok:
        level, says = "bad", f"Swiftia refuses the key; asked again in {duration(round(state.pause_s))}"
    elif state.breaker != "closed":
        level, says = "warn", f"the breaker is {state.breaker}; asked again in {duration(round(state.pause_s))}"
    elif state.pause_reason == "limit":
        level, says = "warn", f"Swiftia said 429; nobody sends for {duration(round(state.pause_s))}"
    elif not state.free:
        says = "all of it is used just now"
    return Gauge(
        name=name,
        level=level,
        used=state.used,
        allowed=state.allowed,
        window=f"{state.window_s:g} s",
        part=round(min(100.0, 100 * state.used / max(1, state.allowed)), 1),
        says=says,
        waits=[(name, count) for name, count in state.waiting.items() if count],
    )


def _lines(known: Known) -> list[Line]:
    return [*_of_redis(known), *_of_disk(known)]


def _of_redis(known: Known) -> list[Line]:
    if not known.redis:
        return [Line("bad", "Redis", "does not answer")]
    found = [Line("ok", "Redis", "takes writes")]
    for lane in LANES:
        count, busy = known.hands.get(lane, 0), known.busy.get(lane, 0)
        found.append(Line("ok" if count else "bad", f"Workers, {lane}", f"{count}, {busy} of them busy"))
    couriers = known.present.get("courier", 0)
    found.append(Line("ok" if couriers else "none", f"Couriers, {DELIVERIES}", str(couriers)))
    found += [_clock(lane, age) for lane, age in known.clock.items()]
    found.append(Line("none", "Web processes", str(known.present.get("web", 0))))
    for name, percent in known.storage.items():
        level = "warn" if percent >= known.storage_warn else "ok"
        whose = f", {name}" if len(known.storage) > 1 else ""
        found.append(Line(level, f"Storage at Swiftia{whose}", f"{percent:.0f} % used when last seen"))
    if not known.storage:
        found.append(Line("none", "Storage at Swiftia", "not looked at yet, a check does"))
    return found


def _clock(lane: str, age: float | None) -> Line:
    if age is None:
        return Line("bad", f"Clock, {lane}", "never ran")
    return Line("ok" if age < _CLOCK_SILENT_S else "bad", f"Clock, {lane}", f"{duration(round(age, 1))} ago")


def _of_disk(known: Known) -> list[Line]:
    found = []
    if known.room is not None:
        level = "bad" if known.room.paused else "ok"
        found.append(Line(level, "Disk for videos", f"{size(known.room.free)} free"))
    if known.spool is None:
        found.append(Line("bad", "Spool", "cannot be read"))
    else:
        level = "bad" if known.spool.aside else "warn" if known.spool.waiting else "ok"
        found.append(Line(level, "Spool", f"{known.spool.waiting} wait, {known.spool.aside} set aside"))
    return found
