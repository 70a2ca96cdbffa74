"""One connection that listens to changes: what it wants to hear, how far it has heard, and what is still to be sent."""

import socket
from collections.abc import Iterable
from typing import Final

from workers import frames
from workers.changes import Change, digest
from workers.frames import StreamId

# A listener that takes nothing in for so long is gone.
_PATIENCE_S: Final = 30.0
_READ: Final = 4096


class Listener:
    """``names``: the job and refs that it wants to hear of, None for all. ``after``: what it has heard last.

    ``calm``: it hears the newest alone, once in a second: ``told_in`` is the last one in which it was told.

    ``settled``: the last it has heard is that its job has ended. ``lost``: what it has heard may never have happened.
    """

    def __init__(
        self,
        sock: socket.socket,
        names: frozenset[str] | None,
        after: StreamId,
        *,
        chunked: bool,
        now: float,
        calm: bool = False,
    ) -> None:
        self.names = names
        self.after = after
        self.calm = calm
        self.told_in = -1
        self.open = True
        self.settled = False
        self.lost = False
        self._digests = frozenset(map(digest, names or ()))
        self._sock = sock
        self._chunked = chunked
        self._left = b""
        self._ending = False
        self._sent_at = now

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def ready(self) -> bool:
        """Whether it has taken in all that was sent so far, so that it may be sent more."""
        return self.open and not self._left

    def heed(self, changes: Iterable[Change]) -> list[Change]:
        """Note what changes mean for what this one wants to hear from here on. Answers those that are meant for it."""
        heard = [change for change in changes if not change.digests or self._digests.intersection(change.digests)]
        for change in heard:
            if change.job and self.names is not None:
                self.names |= {change.job}
                self._digests |= {digest(change.job)}
            if change.subject == change.owner:
                self.settled = change.settles
        return heard

    def send(self, payload: bytes, now: float) -> None:
        """Send as much as goes at once; the rest goes with ``flush``. Closes where nothing can be sent."""
        if payload:
            self._left += frames.chunk(payload) if self._chunked else payload
            self.flush(now)

    def flush(self, now: float) -> None:
        while self.open and self._left:
            try:
                sent = self._sock.send(self._left)
            except BlockingIOError:
                if now - self._sent_at > _PATIENCE_S:
                    self.close()
                return
            except OSError:
                self.close()
                return
            self._left = self._left[sent:]
            self._sent_at = now
        if self._ending:
            self.close()

    def quiet_for(self, now: float) -> float:
        return now - self._sent_at

    def finish(self, now: float) -> None:
        """End the answer, and close once that is sent."""
        self._ending = True
        if self._chunked:
            self._left += frames.chunk(b"")
        self.flush(now)

    def hear(self) -> None:
        """Read what the other side says, which means nothing, and notice that it has hung up."""
        try:
            said = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self.close()

    def close(self) -> None:
        self.open = False
        self._left = b""
        self._sock.close()
