"""Where a listing goes on: behind one entry of an index. Pure."""

import base64
import re

from workers.errors import InvalidInput

_CURSOR = re.compile(r"([0-9]{1,15}):([\x21-\x7e]{1,140})", re.ASCII)

Entry = tuple[float, bytes]
"""When a job became known, in Unix milliseconds, and its subject as the ledger writes it."""


def write_cursor(score: float, member: bytes) -> str:
    return base64.urlsafe_b64encode(b"%.0f:%s" % (score, member)).rstrip(b"=").decode()


def read_cursor(cursor: str) -> Entry:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        text = ""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidInput("this is no cursor of a listing; take the one in next, or none for the first page")
    return float(match[1]), match[2].encode()
