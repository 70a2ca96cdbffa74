"""The ledger's numbers as metrics."""

import math
from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric

from receiver.families import Labelled, by_one, counter, counters, gauge, gauges, histogram
from workers.accounts import DEFAULT, Accounts
from workers.census import Line, Numbers, together
from workers.measures import BOUNDS, LABELS, Measures
from workers.states import DELIVERY_MOVES, JOB_MOVES, REF_MOVES, RENDER_MOVES

_UNSURE: Final = "render.unsure"
# What became of deliveries, by the event that tells it.
_DELIVERIES: Final = {"delivered": "delivered", "retried": "delivery.retry", "parked": "delivery.parked"}
_MS: Final = 1000.0
_MOVES: Final = {"job": JOB_MOVES, "render": RENDER_MOVES, "submission": REF_MOVES, "delivery": DELIVERY_MOVES}
_NOTHING_PARKED: Final[Labelled] = {
    (subject, str(state)): 0 for subject, moves in _MOVES.items() for state, into in moves.items() if "parked" in into
}


class LedgerMetrics:
    def __init__(self, numbers: Numbers, accounts: Accounts) -> None:
        self._numbers = numbers
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        yield from self._now()
        yield from self._so_far()
        yield from self._times()

    def _now(self) -> Iterator[Metric]:
        numbers = self._numbers
        jobs = "Jobs, and submissions without a job id, by state."
        yield gauges("jobs", jobs, ["state"], by_one(numbers.jobs))
        labels, lines = self._lines()
        waiting = "Unfinished work by class, whether its time has come or not."
        yield gauges("due", waiting, labels, {of: line.length for of, line in lines.items()})
        late = "How late the oldest due entry is, 0 if none is."
        yield gauges("due_overdue_seconds", late, labels, {of: line.late_s for of, line in lines.items()})
        # Never is longer ago than any limit of an alert.
        ages = {lane: math.inf if age is None else age for lane, age in numbers.clock.items()}
        passed = "Time since the clock looked after a lane, +Inf if never."
        yield gauges("clock_age_seconds", passed, ["lane"], by_one(ages))
        full = "Used storage at Swiftia when it was last looked at."
        yield gauges("upstream_storage_used_percent", full, ["account"], by_one(numbers.storage))
        soon = "Jobs that have not ended, parked ones too, and that Swiftia archives within 7 days."
        yield gauge("archive_soon", soon, numbers.archive_soon)
        parked = "Deliveries to the team's application that were given up and wait for a person."
        yield gauge("deliveries_parked", parked, numbers.deliveries_parked)

    def _lines(self) -> tuple[list[str], dict[tuple[str, ...], Line]]:
        """What is due, by class; where there are several accounts, by account too."""
        if not self._accounts.several:
            return ["class"], {(name,): line for name, line in self._numbers.due.items()}
        found: dict[tuple[str, ...], list[Line]] = {}
        for name, lines in self._numbers.due_of.items():
            for account, line in lines.items():
                shown = "" if len(lines) == 1 else shown_account(self._accounts, account)
                found.setdefault((shown, name), []).append(line)
        return ["account", "class"], {of: together(lines) for of, lines in found.items()}

    def _so_far(self) -> Iterator[Metric]:
        numbers, counted = self._numbers, self._numbers.measures.counters
        yield counters("events", "Entries of all timelines, by event.", ["event"], by_one(numbers.events))
        # Beside their places among the events: there they are missing until the first, and that rise is not seen.
        unsure = "Renders started again although the first start may have worked: each may be paid for twice."
        yield counter("renders_unsure", unsure, numbers.events.get(_UNSURE, 0))
        told = {outcome: numbers.events.get(event, 0) for outcome, event in _DELIVERIES.items()}
        yield counters("deliveries", "Tries to deliver an event, by what became of it.", ["outcome"], by_one(told))
        parked = "What was parked so far, by what it is and the state that it was in."
        yield counters("parked", parked, LABELS["parked"], {**_NOTHING_PARKED, **counted["parked"]})
        kept = {("result",): 0, ("video",): 0} | dict(counted["bytes"])
        yield counters("kept_bytes", "Bytes of results and videos that were brought home.", LABELS["bytes"], kept)

    def _times(self) -> Iterator[Metric]:
        measures = self._numbers.measures
        steps = "How long attempts of steps took, by how they ended."
        yield measured("step_seconds", steps, measures, "step")
        result = "From a job's callback to its result being kept."
        yield measured("callback_to_result_seconds", result, measures, "result")
        yield measured(
            "callback_to_kept_seconds", "From a job's callback to its last video being kept.", measures, "kept"
        )
        told = "From an event to the application having taken it."
        yield measured("delivered_seconds", told, measures, "delivered")
        polls = "How often a render was asked about until it was done or had failed."
        yield measured("render_polls", polls, measures, "polls", unit=1.0)


def shown_account(accounts: Accounts, name: str) -> str:
    """Under which name people know the account of jobs that name it so; of a missing one its own."""
    found = accounts.of(name)
    return (name if found is None else found.name) or DEFAULT


def measured(
    name: str,
    means: str,
    measures: Measures,
    family: str,
    *,
    unit: float = _MS,
) -> Metric:
    """Give a histogram of the ledger. ``unit``: how many of what was counted make one of what is shown."""
    found = measures.histograms[family]
    # One without labels is there from the beginning: a rise from nothing is not seen.
    nothing: list[tuple[tuple[str, ...], list[int], float]] = []
    if not LABELS[family] and not found:
        nothing = [((), [0] * (len(BOUNDS[family]) + 1), 0.0)]
    values = [(labels, list(one.cumulative), one.sum / unit) for labels, one in found.items()]
    return histogram(name, means, LABELS[family], [bound / unit for bound in BOUNDS[family]], values or nothing)
