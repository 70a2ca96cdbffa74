"""Server-Sent Events as bytes (the HTML standard, section 9.2), and the ids that a listener resumes from. Pure.

Whatever the values, a frame reads back as that one event: no value can end a line, or a frame, before its time.
"""

import re
from typing import Final

from workers.errors import InvalidInput

StreamId = tuple[int, int]
BEGINNING: Final[StreamId] = (0, 0)
# Redis knows a few more above these, which are billions of years away.
ID_PATTERN: Final = "(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})"
_ID: Final = re.compile(ID_PATTERN, re.ASCII)
_LINE: Final = re.compile(r"\r\n|\r|\n")
_NO_LINE: Final = re.compile(r"[\r\n\0]")


def frame(data: str, *, event: str = "", at: StreamId | None = None) -> bytes:
    r"""Write one event. A line break in ``data`` of any kind arrives as ``\n``; in ``event`` it is ``InvalidInput``.

    ``at``: the listener resumes behind it.

    >>> frame('{"n":1}', event="change", at=(5, 0))
    b'id: 5-0\nevent: change\ndata: {"n":1}\n\n'
    """
    if _NO_LINE.search(event):
        raise InvalidInput("the name of an event is one line", got=event[:40])
    lines = [] if at is None else [f"id: {write_id(at)}"]
    if event:
        lines.append(f"event: {event}")
    lines += [f"data: {line}" for line in _LINE.split(data)]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def comment(text: str = "", *, at: StreamId | None = None) -> bytes:
    r"""Write what no listener sees and every proxy takes for a sign of life. ``at`` is noted by the listener.

    >>> comment(at=(5, 0)), comment("two\nlines")
    (b': \nid: 5-0\n\n', b': two\n: lines\n\n')
    """
    lines = [f": {line}" for line in _LINE.split(text)]
    if at is not None:
        lines.append(f"id: {write_id(at)}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def pause(milliseconds: int) -> bytes:
    """Tell for how long a listener is to wait before it comes back."""
    return b"retry: %d\n\n" % milliseconds


def chunk(payload: bytes) -> bytes:
    """Write a piece of a chunked body (RFC 9112, section 7.1). An empty one ends the body."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def write_id(at: StreamId) -> str:
    return f"{at[0]}-{at[1]}"


def read_id(text: str) -> StreamId:
    """Read what ``write_id`` wrote. Raise ``InvalidInput`` for anything else.

    >>> read_id("1732239323004-2")
    (1732239323004, 2)
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise InvalidInput("a Last-Event-ID is an id of this stream, such as 1732239323004-0", got=text[:60])
    return int(match[1]), int(match[2])
