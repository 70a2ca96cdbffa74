"""The head of a request: its line and its headers, taken and refused as ``http.server`` does.

Not by ``http.server``, which has the headers read by the parser of e-mails: that took longer than all of an answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_LONGEST_LINE = 1 << 16
_MOST_LINES = 100  # with the one that ends them
_MOST_DIGITS = 10
_BLANK = (b"\r\n", b"\n", b"")
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BEGINS = re.compile(r"From |[!-9;-~]*:|[\t ]")


class Unreadable(Exception):
    """The request is answered with ``status`` and the connection closed. ``method``: "" where it is not known."""

    def __init__(self, status: int, message: str, *, method: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.method = method


@dataclass(slots=True)
class Head:
    """``closes``: whether the connection ends with this request. ``waits``: for word that its body is wanted."""

    method: str
    target: str
    closes: bool
    waits: bool = False
    fields: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """Give the first header of a name, which is in lower case; "" for none."""
        return self.fields[name][0] if name in self.fields else ""


def read_head(readline: Callable[[int], bytes]) -> Head | None:
    """Read the head of one request. Return None where there is none, so that nothing is to be answered.

    ``readline`` returns one line with its end, but no more bytes than it is told. Raises Unreadable.
    """
    line = readline(_LONGEST_LINE + 1)
    if len(line) > _LONGEST_LINE:
        raise Unreadable(414, "Request-URI Too Long")
    text = line.decode("latin-1").rstrip("\r\n")
    words = text.split()
    if not words:
        return None
    version = _version(words[-1]) if len(words) > 2 else (0, 9)  # noqa: PLR2004 - method, target, version
    head = _begun(text, words, version)
    head.fields = _read_fields(readline, head.method)
    said = head.header("connection").lower()
    head.closes = said == "close" or (head.closes and said != "keep-alive")
    head.waits = head.header("expect").lower() == "100-continue" and version >= (1, 1)
    return head


def _version(word: str) -> tuple[int, int]:
    parts = word.removeprefix("HTTP/").split(".")
    if not word.startswith("HTTP/") or len(parts) != 2 or not all(map(_is_number, parts)):  # noqa: PLR2004 - 1 and 1
        raise Unreadable(400, f"Bad request version ({word!r})")
    version = int(parts[0]), int(parts[1])
    if version >= (2, 0):
        raise Unreadable(505, f"Invalid HTTP version ({word.removeprefix('HTTP/')})")
    return version


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _begun(text: str, words: list[str], version: tuple[int, int]) -> Head:
    if not 2 <= len(words) <= 3:  # noqa: PLR2004 - method and target, and the version
        raise Unreadable(400, f"Bad request syntax ({text!r})")
    method, target = words[:2]
    if len(words) == 2 and method != "GET":  # noqa: PLR2004 - see above
        raise Unreadable(400, f"Bad HTTP/0.9 request type ({method!r})")
    if target.startswith("//"):
        target = "/" + target.lstrip("/")
    return Head(method, target, closes=version < (1, 1))


def _read_fields(readline: Callable[[int], bytes], method: str) -> dict[str, list[str]]:
    lines: list[bytes] = []
    while not lines or lines[-1] not in _BLANK:
        lines.append(readline(_LONGEST_LINE + 1))
        if len(lines[-1]) > _LONGEST_LINE:
            raise Unreadable(431, "Line too long", method=method)
        if len(lines) > _MOST_LINES:
            raise Unreadable(431, "Too many headers", method=method)
    return read_fields(b"".join(lines[:-1]).decode("latin-1"))


def read_fields(text: str) -> dict[str, list[str]]:
    """Give the headers by their names in lower case. A line that is none ends them; a name without a letter is none."""
    found: list[list[str]] = []
    goes_on = False  # whether a line that begins with a blank belongs to the header above it
    for line in _LINES.findall(text):
        if not _BEGINS.match(line):
            break
        if line[0] in " \t":
            if goes_on:
                found[-1][1] += line
            continue
        name, _, value = line.partition(":")
        goes_on = bool(name) and not line.startswith("From ")
        if goes_on:
            found.append([name.lower(), value.lstrip(" \t")])
    fields: dict[str, list[str]] = {}
    for name, value in found:
        fields.setdefault(name, []).append(value.rstrip("\r\n"))
    return fields
