"""How many submissions may wait for the request budget at once: each holds a thread of the web process."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from workers.accounts import Accounts
from workers.errors import Busy

WAITING_AT_ONCE: Final = 4
WAITING_OF_ONE: Final = 2
_CROWDED_S: Final = 5.0


class Seats:
    def __init__(self, accounts: Accounts) -> None:
        self._all = threading.BoundedSemaphore(WAITING_AT_ONCE)
        # Where there are several accounts, one that does not answer leaves room for the others.
        each = WAITING_OF_ONE if accounts.several else WAITING_AT_ONCE
        self._of_one = {name: threading.BoundedSemaphore(each) for name in accounts.by_name}

    @contextmanager
    def taken(self, account: str) -> Iterator[None]:
        """Hold a seat. Raise ``Busy`` where none is free."""
        with ExitStack() as held:
            for seats in (self._of_one[account], self._all):
                if not seats.acquire(blocking=False):
                    said = "too many submissions wait for the request budget; try again later"
                    raise Busy(said, retry_after=_CROWDED_S)
                held.callback(seats.release)
            yield
