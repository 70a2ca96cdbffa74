"""Values as people read them: the filters of the templates. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup, escape

from receiver.table import size_text
from workers.redaction import redacted_text

_NOTHING: Final = "\u2013"  # a dash
_CODE: Final = re.compile(r"`([^`]+)`")
_STEPS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(text: str | None) -> Markup:
    """Write a moment in UTC; the script of the page turns it into the reader's zone.

    >>> moment("2024-11-22T01:35:23.004Z")
    Markup('<time datetime="2024-11-22T01:35:23.004Z">22 Nov 2024, 01:35:23 UTC</time>')
    """
    if not text:
        return escape(_NOTHING)
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return escape(text)
    # Not by format, which is most of the time that a list of jobs takes; what is left of a date is digits and letters.
    return Markup(  # noqa: S704 - see above
        f'<time datetime="{escape(text)}">{at.day} {at:%b %Y}, {at:%H:%M:%S} UTC</time>'
    )


def size(count: float | None) -> str:
    """Write a number of bytes.

    >>> size(1_468_006), size(999)
    ('1.5 MB', '999 B')
    """
    return size_text(count) or _NOTHING


def duration(seconds: float | None) -> str:
    """Write a length of time, in its two largest units.

    >>> duration(0.25), duration(42), duration(3720)
    ('0.25 s', '42 s', '1 h 2 min')
    """
    if seconds is None:
        return _NOTHING
    for (length, unit), (below, name) in pairwise(_STEPS):
        if seconds >= length:
            whole, rest = divmod(int(seconds), length)
            return f"{whole} {unit}" + (f" {rest // below} {name}" if rest >= below else "")
    return f"{seconds:.3g} s"


def percent(fraction: float | None) -> str:
    """Write a fraction of one.

    >>> percent(0.4249)
    '42 %'
    """
    return _NOTHING if fraction is None else f"{fraction * 100:.0f} %"


def number(value: float | None) -> str:
    """Write a number with its thousands apart.

    >>> number(1234567)
    '1,234,567'
    """
    return _NOTHING if value is None else f"{value:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """Write a number of things.

    >>> counted(1, "render"), counted(2, "render"), counted(0, "delivery", "deliveries")
    ('1 render', '2 renders', '0 deliveries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Write what an error says, which begins small and has no end, as a sentence.

    >>> sentence("the cursor is none of ours"), sentence("Gone."), sentence("")
    ('The cursor is none of ours.', 'Gone.', '')
    """
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "?", "!")) else ".")


def marked(text: str) -> Markup:
    """Mark what stands between backticks as code.

    >>> marked("`a < b` & more")
    Markup('<code>a &lt; b</code> &amp; more')
    """
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def tenths(value: float) -> str:
    """Write a number with one digit behind its point, unless that is a nought.

    >>> tenths(7.46), tenths(7.0)
    ('7.5', '7')
    """
    return f"{value:.1f}".removesuffix(".0")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "moment": moment,
    "size": size,
    "duration": duration,
    "percent": percent,
    "number": number,
    "counted": counted,
    "sentence": sentence,
    "tenths": tenths,
    "marked": marked,
    "masked": redacted_text,
}
