"""What goes to a listener: changes and the words beside them as events, a piece at a time."""

import json
from collections.abc import Iterable
from typing import Final

from receiver.listeners import Listener
from workers import frames
from workers.changes import Change
from workers.frames import StreamId
from workers.tail import Tail

HEARTBEAT_S: Final = 15.0
# Changes in one piece, some 20 kB.
_MOST: Final = 100

# What those hear who listen to everything: by where they are, the bytes and how far they go.
Pieces = dict[StreamId, tuple[bytes, StreamId]]


def frame_of(change: Change) -> bytes:
    return frames.frame(json.dumps(change.as_json(), separators=(",", ":")), event="change", at=change.at)


def reset(at: StreamId) -> bytes:
    """Say that changes were missed: what is known so far is worth nothing."""
    return frames.frame("{}", event="reset", at=at)


def end(at: StreamId) -> bytes:
    """Say that nothing more is going to happen."""
    return frames.frame("{}", event="end", at=at)


def framed(changes: Iterable[Change]) -> bytes:
    return b"".join(map(frame_of, changes))


def tell(listener: Listener, tail: Tail, pieces: Pieces, now: float) -> None:
    """Send what a listener has not heard, as much as it takes in."""
    while listener.ready and (listener.lost or listener.after < tail.end):
        if listener.lost or not tail.holds(listener.after):
            _reset(listener, tail.end, now)
        elif listener.names is None:
            if listener.after not in pieces:
                changes, upto = tail.after(listener.after, None, _MOST)
                pieces[listener.after] = framed(changes), upto
            payload, listener.after = pieces[listener.after]
            listener.send(payload, now)
        else:
            changes, upto = tail.after(listener.after, listener.names, _MOST)
            listener.send(framed(listener.heed(changes)), now)
            listener.after = upto
    if listener.ready and listener.settled:
        listener.send(end(listener.after), now)
        listener.finish(now)
    elif listener.ready and listener.quiet_for(now) >= HEARTBEAT_S:
        listener.send(frames.comment(at=listener.after), now)


def _reset(listener: Listener, at: StreamId, now: float) -> None:
    listener.lost, listener.after = False, at
    listener.send(reset(at), now)
    if listener.names is not None:
        listener.finish(now)  # its job may have ended meanwhile: whoever comes back is told
