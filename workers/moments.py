"""Moments as people and programs write them: ISO 8601 in UTC, and Unix milliseconds. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

from workers.documents import number
from workers.errors import InvalidInput

LATEST_MS: Final = 253_402_300_799_999  # the last moment of the year 9999
_MILLISECONDS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def moment(milliseconds: object) -> str | None:
    """Write a moment of the ledger as ISO 8601.

    >>> moment("1732239323004")
    '2024-11-22T01:35:23.004Z'
    """
    value = number(milliseconds)
    if value is None or not 0 <= value <= LATEST_MS:
        return None
    seconds, rest = divmod(int(value), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def read_moment(text: str, *, what: str) -> int:
    """Read Unix milliseconds, or ISO 8601, in UTC unless it says otherwise.

    >>> read_moment("1732239323004", what="since"), read_moment("2024-11-22T01:35:23.004Z", what="since")
    (1732239323004, 1732239323004)
    >>> read_moment("2024-11-22", what="since")
    1732233600000
    """
    if _MILLISECONDS.fullmatch(text) and int(text) <= LATEST_MS:
        return int(text)
    try:
        # In a query a bare + is a space, so that +02:00 has to be written %2B02:00.
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        raise InvalidInput(
            f"{what} is a moment such as 2026-05-01T12:00:00Z, or Unix milliseconds; a + in it is written %2B",
            got=text[:40],
        ) from None
    since_epoch = (found if found.tzinfo else found.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    milliseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 1000 + since_epoch.microseconds // 1000
    return min(max(milliseconds, 0), LATEST_MS)
