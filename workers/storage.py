"""How full the storage at Swiftia is, for each account: asked for now and then, and kept in between.

Asking costs a request of the budget, so it is the least important of all, and what was seen lately does as well.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from redis import Redis

from workers import keys
from workers.budget import NoSlot
from workers.errors import Busy
from workers.reader import asked
from workers.uploads import Stock, Uploads, read_stock
from workers.upstreams import Upstream, Upstreams

FRESH_S: Final = 300.0
PATIENCE_S: Final = 5.0
_KEPT_S: Final = 7 * 86_400
_CROWDED_S: Final = 5.0


class Storage:
    """``now``: Unix seconds. ``clock``: seconds of a clock that only rises. ``patience_s``: how long a slot is waited
    for. Raises ``LedgerUnavailable`` from every method.
    """

    def __init__(
        self,
        redis: Redis,
        upstreams: Upstreams,
        *,
        patience_s: float = PATIENCE_S,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis = redis
        self._upstreams = upstreams
        self._patience_s = patience_s
        self.now = now
        self._clock = clock
        self._sleep = sleep
        self._turn = threading.Lock()

    def known(self, account: str) -> Stock | None:
        """What was seen last, without asking."""
        return read_stock(asked(self._redis.get, keys.storage(account)))

    def look(self, account: str) -> Stock:
        """What was seen within ``FRESH_S``, else what Swiftia says now. Without a slot in time: what was seen last.

        Raises ``Busy`` where nothing was, and what Swiftia answers.
        """
        kept = self.known(account)
        if kept is not None and 0 <= self.now() - kept.at < FRESH_S:
            return kept
        try:
            return self.see(account)
        except Busy:
            if kept is None:
                raise
            return kept

    def see(self, account: str) -> Stock:
        """Ask Swiftia, in turn. Raises ``Busy`` without a slot in time, and where another thread asks just now."""
        if not self._turn.acquire(blocking=False):
            raise Busy("the storage is being asked for already; try again soon", retry_after=_CROWDED_S)
        try:
            uploads = self._in_turn(self._upstreams.of(account))
        finally:
            self._turn.release()
        stock = Stock.of(uploads, self.now())
        asked(self._redis.set, keys.storage(account), stock.as_json(), ex=_KEPT_S)
        return stock

    def _in_turn(self, upstream: Upstream) -> Uploads:
        deadline = self._clock() + self._patience_s
        while True:
            try:
                with upstream.budget.slot("reconcile", "storage"):
                    return upstream.swiftia.uploads()
            except NoSlot as turn:
                if self._clock() + turn.wait_s > deadline:
                    said = f"no request was free for {self._patience_s:g} s; try again later"
                    raise Busy(said, retry_after=turn.wait_s) from None
                self._sleep(turn.wait_s)
