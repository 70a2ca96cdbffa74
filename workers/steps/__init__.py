"""The steps: each takes its tools and one claimed attempt, does one resumable piece of work, and says how it ended.

A step may be killed on any line and run again: nothing is lost and nothing doubles. What it raises is an outcome too,
see ``workers/attempts.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from workers.artifacts import Artifacts
from workers.destinations import Destinations
from workers.downloads import Downloads
from workers.ledger import Ledger
from workers.memory import Memory
from workers.records import Record
from workers.upstreams import Upstream, Upstreams


@dataclass(frozen=True, slots=True)
class Tools:
    """``give_up_after_s``: a job that is older than that is not asked about any more. ``chance``: gives a number in
    [0, 1). ``delivery_first_s``: the first pause of a delivery that was not taken;
    ``delivery_patience_s``: for how long it is tried.
    """

    ledger: Ledger
    upstreams: Upstreams
    artifacts: Artifacts
    memory: Memory
    downloads: Downloads
    destinations: Destinations
    delivery_first_s: float
    delivery_patience_s: float
    chance: Callable[[], float]
    keep_videos: bool
    retry_when_unsure: bool
    reconcile_after_s: float
    give_up_after_s: float
    webhook_url: Callable[[str], str]

    def upstream(self, record: Record) -> Upstream:
        """The way to Swiftia of the account whose job it is. Raise ``AccountMissing``: nothing was asked then."""
        return self.upstreams.of(record.account)
