"""A pipeline whose callbacks count as kept once replicas have them too: each batch that leaves waits for them once.

The answers of a batch are held back until the server says how many replicas have all of it. Where those are too few,
nothing that is on its way counts as kept, and all of it goes the ordinary way: to the spool.
"""

import socket
from collections import deque
from collections.abc import Callable

from redis import Redis

from workers.pipeline import Pipeline, Words, accepted_of
from workers.records import Accepted, Callback
from workers.scripts import ACK_PATIENCE_MS, REPLICATED


class ReplicatedPipeline(Pipeline):
    """``replicas``: so many must have a callback. The rest is as in ``Pipeline``."""

    def __init__(
        self,
        redis: Redis,
        words: Words,
        load: Callable[[], object],
        *,
        clock: Callable[[], float],
        replicas: int,
    ) -> None:
        super().__init__(redis, words, load, clock=clock)
        self._replicas = replicas
        # As ``Scripts.run_replicated`` does: WAIT looks at what its own connection wrote last, so there is a write.
        self._ending = _command("SET", REPLICATED, "1") + _command("WAIT", str(replicas), str(ACK_PATIENCE_MS))
        self._begin()

    def _begin(self) -> None:
        self._added = 0
        self._batches: deque[int] = deque()
        self._held: list[object] = []

    def open(self) -> socket.socket:
        self._begin()
        return super().open()

    def add(self, callback: Callback) -> None:
        super().add(callback)
        self._added += 1

    def flush(self) -> bool:
        if self._added:
            self._out += self._ending
            self._batches.append(self._added)
            self._added = 0
        return super().flush()

    def answers(self) -> list[Accepted | None]:
        """As in ``Pipeline``. Raises TimeoutError where too few replicas have what was sent."""
        self._held += self._come_in()
        found: list[Accepted | None] = []
        while self._batches and len(self._held) >= self._batches[0] + 2:
            size = self._batches.popleft()
            *answers, _, having = self._held[: size + 2]
            del self._held[: size + 2]
            self._check(having)
            found += [accepted_of(answer) for answer in answers]
        self._answered(len(found))
        return found

    def _check(self, having: object) -> None:
        if not isinstance(having, int) or having < self._replicas:
            wanted = f"not on {self._replicas} replicas, only on {having}"
            raise TimeoutError(f"the write is there but {wanted}; start them or lower ACK_REPLICAS")


def _command(*words: str) -> bytes:
    """Write a command as the server's protocol has it."""
    said = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{said}".encode()
