"""Takes plain callbacks in the worker's own loop, without a thread and without Flask. Does what the door does.

What comes together goes to Redis together (``workers/pipeline.py``), and is answered as Redis answers. Whatever is not
plain, and whatever goes wrong, is left to the ordinary way, which finds out what to say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from receiver.answers import GUARDED, json_text
from receiver.door import Door, answer_of
from receiver.requestids import HEADER, id_of
from workers import origin
from workers.errors import LedgerUnavailable, ServiceError
from workers.intake import Intake, tell_ignored

if TYPE_CHECKING:
    from collections.abc import Callable

    from receiver.knock import Knock
    from workers.pipeline import Pipeline
    from workers.records import Accepted, Callback

# After a connection failed nobody tries the next one for so long; the ordinary way knows what to do meanwhile.
_REST_S: Final = 1.0


@dataclass(slots=True)
class Guest:
    """One callback on its way. ``whose``: the connection that waits for the answer, which is gunicorn's matter."""

    whose: Any
    knock: Knock
    callback: Callback
    request_id: str
    began: float


class Porter:
    """For one process and one thread of it. ``clock``: seconds that only rise. ``now``: Unix seconds."""

    def __init__(
        self, door: Door, intake: Intake, *, largest: int, clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._door = door
        self._intake = intake
        self._largest = largest
        self._clock = clock
        self._now = now
        self._pipeline: Pipeline | None = None
        self._is_open = False
        self._rest_until = 0.0
        self._guests: deque[Guest] = deque()
        self._straight: bool | None = None
        self._heads: dict[tuple[bool, int], bytes] = {}
        # Told of each new connection to Redis, and of each that is gone.
        self.listen: Callable[[Any], None] = lambda _socket: None
        self.unlisten: Callable[[Any], None] = lambda _socket: None
        self._listening: Any = None

    @property
    def waits(self) -> bool:
        return bool(self._guests)

    def take(self, knock: Knock, whose: Any) -> bool:
        """Let a callback in; its answer comes out of ``answers``. False: it goes the ordinary way."""
        if len(knock.body) > self._largest or not self._door.takes_plain or not self._ready():
            return False
        began = self._clock()
        request_id = id_of(knock.headers.get("x-request-id", ""))
        token = origin.begin(request_id)
        try:
            callback = self._door.callback(knock.token, knock, knock.body)
        except ServiceError:
            return False  # there it is counted and told
        finally:
            origin.end(token)
        if not callback.owner or self._pipeline is None:
            return False
        self._pipeline.add(callback)
        self._guests.append(Guest(whose, knock, callback, request_id, began))
        return True

    def _ready(self) -> bool:
        if self._straight is None:
            # Once for all that comes in one turn of the loop.
            self._straight = self._intake.straight() and self._opened()
        return self._straight and self._pipeline is not None and self._pipeline.has_room

    def _opened(self) -> bool:
        if self._is_open:
            return True
        if self._clock() < self._rest_until:
            return False
        try:
            self._pipeline = self._pipeline or self._intake.pipeline()
            self._listening = self._pipeline.open()
        except ServiceError:
            self._rest_until = self._clock() + _REST_S
            return False
        self.listen(self._listening)
        self._is_open = True
        return True

    def turn(self) -> list[Guest]:
        """End a turn of the loop: send what has come. Answers those who must go the ordinary way now."""
        self._straight = None
        if not self._is_open or self._pipeline is None:
            return []
        try:
            self._pipeline.flush()
        except OSError as error:
            return self._failed(error)
        if self._pipeline.is_late:
            return self._failed(TimeoutError("no answer in time"))
        return []

    def answers(self) -> tuple[list[tuple[Guest, Accepted]], list[Guest]]:
        """Those whom Redis has answered, and those who must go the ordinary way."""
        if self._pipeline is None:
            return [], []
        try:
            found = self._pipeline.answers()
        except OSError as error:
            return [], self._failed(error)
        taken, left = [], []
        for accepted in found:
            guest = self._guests.popleft()
            if accepted is None:
                left.append(guest)
            else:
                taken.append((guest, accepted))
        return taken, left

    def _failed(self, error: OSError) -> list[Guest]:
        left = list(self._guests)
        self._guests.clear()
        self.close()
        self._rest_until = self._clock() + _REST_S
        if left:
            self._intake.gave_up(LedgerUnavailable(f"Redis did not answer as it should: {error}"))
        return left

    def close(self) -> None:
        if self._is_open and self._pipeline is not None:
            self.unlisten(self._listening)
            self._pipeline.close()
        self._is_open = False

    def the_long_way(self, guest: Guest) -> Accepted:
        """Take the same callback again, and wait. Raises LedgerUnavailable or SpoolUnavailable."""
        return self._intake.take(guest.callback)

    def answer(self, guest: Guest, accepted: Accepted, *, keep: bool) -> bytes:
        """Count and log what is acknowledged, and give all of the answer."""
        token = origin.begin(guest.request_id)
        try:
            tell_ignored(accepted)
            self._door.tell(accepted, len(guest.knock.body), guest.began)
        finally:
            origin.end(token)
        body = json_text(answer_of(accepted)).encode()
        return b"%b%d\r\n%b%b\r\n\r\n%b" % (
            self._head(keep=keep),
            len(body),
            _TAIL,
            guest.request_id.encode(),
            body,
        )

    def _head(self, *, keep: bool) -> bytes:
        second = int(self._now())
        found = self._heads.get((keep, second))
        if found is None:
            self._heads = {(kind, second): _head(second, keep=kind) for kind in (True, False)}
            found = self._heads[keep, second]
        return found


def _head(second: int, *, keep: bool) -> bytes:
    connection = "keep-alive" if keep else "close"
    lines = [
        "HTTP/1.1 202 ACCEPTED",
        "Server: gunicorn",
        f"Date: {formatdate(second, usegmt=True)}",
        f"Connection: {connection}",
        *(f"{name}: {value}" for name, value in GUARDED.items()),
        "Content-Type: application/json",
        "Content-Length: ",
    ]
    return "\r\n".join(lines).encode()


_TAIL: Final = f"{HEADER}: ".encode()
