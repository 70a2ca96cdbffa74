"""The steps: each takes its tools and one claimed attempt, does one resumable piece of work, and says how it ended.

A step may be killed on any line and run again: nothing is lost and nothing doubles. What it raises is an outcome too,
see ``workers/attempts.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

from workers.artifacts import Artifacts
from workers.budget import Budget
from workers.downloads import Downloads
from workers.ledger import Ledger
from workers.rules import Rules
from workers.swiftia import Swiftia


@dataclass(frozen=True, slots=True)
class Tools:
    ledger: Ledger
    budget: Budget
    swiftia: Swiftia
    artifacts: Artifacts
    downloads: Downloads
    rules: Rules
    keep_videos: bool
    retry_when_unsure: bool
    reconcile_after_s: float
    webhook_url: Callable[[str], str]
