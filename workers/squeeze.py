"""JSON in few bytes, for what stays in memory for months. Pure.

What documents of one kind have in common (``phrases``) is known to both sides, and deflated away. What one has alone is
mostly hashes and moments: they do not deflate, so they are taken out, and stand behind the rest as numbers.

A value is the number of its phrases (1 byte), the length of the deflated part (a varint), that part, and what was taken
out of it, in order: 32 or 16 bytes for that many pairs of hexadecimal digits, a varint for a moment's distance from the
one before. In the text each has left a byte behind that JSON never holds.
"""

import re
import zlib
from typing import Final

from workers.phrases import PHRASES

_NEWEST: Final = max(PHRASES)
_LEVEL: Final = 9
# Far beyond what is kept of any job.
_LONGEST: Final = 16 << 20
_TAKEN: Final = re.compile(rb"[0-9a-f]{64}|[0-9a-f]{32}|[1-9][0-9]{12}")
_LONG, _SHORT, _MOMENT, _AGAIN = b"\x01", b"\x02", b"\x03", b"\x04"
_LEFT: Final = re.compile(rb"[\x01-\x03]|\x04.", re.DOTALL)
_SIZES: Final = {_LONG: 32, _SHORT: 16}
_DIGITS_OF_A_MOMENT: Final = 13
_MOST_AGAIN: Final = 256


def squeeze(text: bytes) -> bytes:
    """``text``: JSON without line ends and the like between its members."""
    taken = _Taken()
    left = _TAKEN.sub(taken.take, text)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zdict=PHRASES[_NEWEST])
    deflated = deflate.compress(left) + deflate.flush()
    return bytes([_NEWEST]) + _varint(len(deflated)) + deflated + bytes(taken.own)


def spread(squeezed: bytes) -> bytes:
    """Give the text back. Raise ``ValueError`` for what ``squeeze`` has not written, or a later version has."""
    try:
        reader = _Reader(squeezed)
        phrases = PHRASES[reader.next(1)[0]]
        deflated = reader.next(reader.varint())
        left = zlib.decompressobj(-zlib.MAX_WBITS, zdict=phrases).decompress(deflated, _LONGEST)
        return _LEFT.sub(reader.put_back, left)
    except (zlib.error, IndexError, KeyError) as error:
        raise ValueError("this was not squeezed here, or is spoilt") from error


class _Taken:
    """``own``: what was taken out so far."""

    def __init__(self) -> None:
        self.own = bytearray()
        self._known: dict[bytes, int] = {}
        self._last = 0

    def take(self, found: re.Match[bytes]) -> bytes:
        word = found[0]
        if len(word) == _DIGITS_OF_A_MOMENT:
            moment = int(word)
            self.own += _varint(_unsigned(moment - self._last))
            self._last = moment
            return _MOMENT
        known = self._known.get(word)
        if known is not None:
            return _AGAIN + bytes([known])
        if len(self._known) < _MOST_AGAIN:
            self._known[word] = len(self._known)
        self.own += bytes.fromhex(word.decode())
        return _LONG if len(word) == 2 * _SIZES[_LONG] else _SHORT


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._known: list[bytes] = []
        self._last = 0

    def next(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise IndexError
        self._at += count
        return found

    def varint(self) -> int:
        found, shift = 0, 0
        while True:
            byte = self.next(1)[0]
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follows
                return found

    def put_back(self, left: re.Match[bytes]) -> bytes:
        mark = left[0][:1]
        if mark == _AGAIN:
            return self._known[left[0][1]]
        if mark == _MOMENT:
            self._last += _signed(self.varint())
            return b"%d" % self._last
        word = self.next(_SIZES[mark]).hex().encode()
        self._known.append(word)
        return word


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits go into a byte
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _unsigned(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _signed(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1
