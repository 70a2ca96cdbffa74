"""What goes to a listener: changes and the words beside them as events, a piece at a time."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from receiver.listeners import Listener
from workers import frames
from workers.changes import Change
from workers.frames import StreamId
from workers.tail import Tail

HEARTBEAT_S: Final = 15.0
# Changes in one piece, some 20 kB.
_MOST: Final = 100
# What the calm hear in a second, at most.
_MOST_CALM: Final = 25

# What those hear who listen to everything: by where they are, and whether calmly, the bytes and how far they go.
Pieces = dict[tuple[StreamId, bool], tuple[bytes, StreamId]]


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


def newest(changes: Sequence[Change]) -> list[Change]:
    """Give the last change of each subject, in order; not of all, where many have changed."""
    found: dict[object, Change] = {}
    for change in reversed(changes):
        found.setdefault(change.subject or change.at, change)
        if len(found) == _MOST_CALM:
            break
    return list(found.values())[::-1]


def tell(listener: Listener, tail: Tail, pieces: Pieces, now: float) -> None:
    """Send what a listener has not heard, as much as it takes in."""
    while listener.ready and (listener.lost or listener.after < tail.end):
        if listener.lost or not tail.holds(listener.after):
            _reset(listener, tail.end, now)
        elif listener.names is None:
            if listener.calm and listener.told_in == int(now):
                break  # all of them in the same turn, so that they share a piece
            listener.told_in = int(now)
            place = listener.after, listener.calm
            if place not in pieces:
                changes, upto = tail.after(listener.after, None, len(tail) if listener.calm else _MOST)
                pieces[place] = framed(newest(changes) if listener.calm else changes), upto
            payload, listener.after = pieces[place]
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
