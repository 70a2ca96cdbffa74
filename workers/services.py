"""What one process works with, connected: ``wiring`` makes it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from workers.artifacts import Artifacts
from workers.attempts import Attempts
from workers.budget import Budget
from workers.catalog import Catalog
from workers.erasure import Erasure
from workers.intake import Intake
from workers.keyring import Keyring
from workers.ledger import Ledger
from workers.links import Links
from workers.retention import Retention
from workers.settings import Settings
from workers.storage import Storage
from workers.submissions import Submissions
from workers.swiftia import Swiftia
from workers.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the web process, the workers and the clock work with."""

    settings: Settings
    redis: Redis
    keyring: Keyring
    ledger: Ledger
    intake: Intake
    catalog: Catalog
    upstreams: Upstreams
    artifacts: Artifacts
    submissions: Submissions
    links: Links
    attempts: Attempts

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """By account; the jobs that name none have the empty one."""
        return self.upstreams.budgets

    @property
    def budget(self) -> Budget:
        """The one of jobs that name no account, or the first."""
        return next(iter(self.budgets.values()))

    @property
    def erasure(self) -> Erasure:
        return Erasure(self.ledger, self.artifacts, self.intake.spool)

    @property
    def retention(self) -> Retention:
        return Retention(self.ledger, self.erasure, days=self.settings.retention_days, now=time.monotonic)

    @property
    def storage(self) -> Storage:
        """Keeps who asks for it now: one for a process."""
        return Storage(self.redis, self.upstreams)

    @property
    def swiftia(self) -> Swiftia:
        """As ``budget``."""
        return self.upstreams.of(next(iter(self.budgets))).swiftia
