"""How long an answer asks to stay away: ``Retry-After``, in seconds or as a date. Pure."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from workers.documents import number

_LONGEST_DATE: Final = 64


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, above nought; None if nothing is asked for. A date counts from the answer's own ``Date``: no clock of
    ours, and clocks that differ do no harm.

    >>> retry_after({"Retry-After": "120"}), retry_after({"retry-after": "soon"})
    (120.0, None)
    """
    lower = {name.lower(): value for name, value in headers.items()}
    asked = lower.get("retry-after", "")
    seconds = number(asked)
    if seconds is None:
        seconds = _until(asked, lower.get("date", ""))
    return seconds if seconds is not None and seconds > 0 else None


def _until(date: str, sent: str) -> float | None:
    try:
        return (
            parsedate_to_datetime(date[:_LONGEST_DATE]) - parsedate_to_datetime(sent[:_LONGEST_DATE])
        ).total_seconds()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
