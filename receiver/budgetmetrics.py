"""What the budget of each account shows, and what its requests were answered, as metrics."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Metric

from receiver.families import Labelled, counters, gauges, histogram
from receiver.ledgermetrics import shown_account
from workers.accounts import Accounts
from workers.measures import BOUNDS, Measures
from workers.standing import BudgetState


class BudgetMetrics:
    """``states``: by the shown name of the account. ``requests``: by the name that its budget has. With one account its
    name is no label.
    """

    def __init__(self, states: Mapping[str, BudgetState], requests: Mapping[str, Measures], accounts: Accounts) -> None:
        several = len(states) > 1
        self._label = ["account"] if several else []
        self._states = [((name,) if several else (), state) for name, state in states.items()]
        self._requests = [
            ((shown_account(accounts, name),) if several else (), requests[name])
            for name in accounts.by_name
            if name in requests
        ]

    def collect(self) -> Iterator[Metric]:
        yield self._each("budget_used", "Requests to Swiftia that count in the window now.", lambda of: of.used)
        yield self._each("budget_allowed", "Requests to Swiftia that a window allows.", lambda of: of.allowed)
        margin = "How much longer than the window a request counts."
        yield self._each("budget_margin_seconds", margin, lambda of: of.margin_ms / 1000)
        yield self._each("budget_pause_seconds", "How long no request may leave.", lambda of: of.pause_s)
        is_open = "1 while Swiftia's answers fail and only probes leave."
        yield self._each("breaker_open", is_open, lambda of: of.breaker != "closed")
        yield self._each("credentials_ok", "0 while Swiftia refuses the API key.", lambda of: of.credentials_ok)
        waiting, slots = "Who waits for a slot, by class.", "Requests to Swiftia that were let go, by class."
        yield gauges("budget_waiting", waiting, self._labels("class"), self._by(lambda of: of.waiting))
        yield counters("budget_slots", slots, self._labels("class"), self._by(lambda of: of.given))
        refused = "Answers 429 of Swiftia, by cause."
        yield counters("upstream_refused", refused, self._labels("cause"), self._by(lambda of: of.refused))
        yield from self._answers()

    def _answers(self) -> Iterator[Metric]:
        codes = {
            (*account, *labels): count
            for account, measures in self._requests
            for labels, count in measures.counters["requests"].items()
        }
        sent = "Requests to Swiftia by what was asked for and the status of the answer; none: there was no answer."
        yield counters("upstream_requests", sent, self._labels("route", "code"), codes)
        took = [
            ((*account, *labels), list(one.cumulative), one.sum / 1000)
            for account, measures in self._requests
            for labels, one in measures.histograms["request"].items()
        ]
        bounds = [bound / 1000 for bound in BOUNDS["request"]]
        until = "How long requests to Swiftia took, until the last byte of the answer."
        yield histogram("upstream_request_seconds", until, self._labels("route"), bounds, took)

    def _labels(self, *own: str) -> list[str]:
        return [*self._label, *own]

    def _each(self, name: str, means: str, value: Callable[[BudgetState], float]) -> Metric:
        return gauges(name, means, self._label, {account: value(state) for account, state in self._states})

    def _by(self, values: Callable[[BudgetState], Mapping[str, float]]) -> Labelled:
        return {
            (*account, value_of): value for account, state in self._states for value_of, value in values(state).items()
        }
