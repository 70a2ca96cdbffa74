"""A callback of the plain form, read from the bytes of one connection: no more is known here than nobody can doubt.

Whatever is unusual is not read here at all but left to gunicorn and Flask: other methods and versions, chunked or
missing bodies, repeated headers, those that say how a message is to be read, anything that is not printable ASCII.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from receiver.problems import LONGEST_HEADER, LONGEST_LINE, MOST_HEADERS

# Of one read from a socket. What is larger goes the ordinary way.
MOST_BYTES: Final = 64 << 10
_END: Final = b"\r\n\r\n"
_FIRST: Final = re.compile(rb"POST /webhooks/swiftia/([A-Za-z0-9_~-]{6,97}\.[A-Za-z0-9_-]{43}) HTTP/1\.1\r\n")
_HEAD: Final = re.compile(r"(?:[A-Za-z0-9-]+:[ ]?(?:[!-~](?:[ -~]*[!-~])?)?(?:\r\n|\Z))+")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
# They say how the message is to be read, or what gunicorn should make of it.
_UNUSUAL: Final = frozenset({
    "content-encoding", "expect", "http2-settings", "keep-alive", "path-info", "proxy-connection", "script-name", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


class Headers(dict[str, str]):
    """By their names in lower case; asked for with any."""

    def get(self, name: str, default: str = "", /) -> str:  # type: ignore[override]  # as a request's own
        return super().get(name.lower(), default)


@dataclass(frozen=True, slots=True)
class Knock:
    """``raw``: all of it, for those who read it again. ``remote_addr``: as a request has it."""

    token: str
    headers: Headers
    body: bytes
    remote_addr: str
    raw: bytes = field(repr=False)


def read(raw: bytes, remote_addr: str) -> Knock | None:
    """Return a callback if these bytes are one as a whole and nothing else; None where there is any doubt."""
    first = _FIRST.match(raw)
    end = raw.find(_END)
    if first is None or not first.end() <= end or first.end() > LONGEST_LINE:
        return None
    text = raw[first.end() : end].decode("latin-1")
    if _HEAD.fullmatch(text) is None:
        return None
    headers = _fields(text.split("\r\n"))
    if headers is None or not _is_plain(headers):
        return None
    body = raw[end + len(_END) :]
    if len(body) != int(headers["content-length"]):
        return None
    return Knock(first[1].decode("ascii"), headers, body, remote_addr, raw)


def _fields(lines: list[str]) -> Headers | None:
    headers = Headers()
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" ")
        if len(line) > LONGEST_HEADER - 2:
            return None
    return headers if len(headers) == len(lines) <= MOST_HEADERS else None


def _is_plain(headers: Headers) -> bool:
    return (
        _LENGTH.fullmatch(headers.get("content-length")) is not None
        and _HOST.fullmatch(headers.get("host")) is not None
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and _UNUSUAL.isdisjoint(headers)
    )
