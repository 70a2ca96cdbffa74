"""The backup file: what is in it, how it is written, and how it is read. Pure: bytes in, bytes out.

It begins with a line that tells its version, then come parts, each behind its length of four bytes, and at the end
stands the SHA-256 of all that. A part is JSON in which each byte stands as the character of that number::

    ["began", {...}]                        when, of what, how much is known beforehand
    ["spooled", receipt, ref, job, meta, body]
    ["key", key, type, expires_ms, [words]]     one key, or a piece of it; 0: it does not expire
    ["copy", subject, [[key, type, [words]]...], [[index, member, score]...]]
    ["gone", [digests]]                     what was erased while the backup was made
    ["file", path, size, sha256]
    ["piece", bytes]                        of the file before it, where files are taken along
    ["ended", {part: count}]

Values, not Redis's DUMP: a dump carries the version of the format that Redis or Valkey keep on their disks, and neither
reads what the other, or a newer one, has written. Words go into every version alike.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from workers.errors import InvalidInput

VERSION: Final = 1
DIGEST_BYTES: Final = 32
_TITLE: Final = b"swiftia-receiver backup, version "
_LENGTH_BYTES: Final = 4
_LONGEST_TITLE: Final = 64
# A job has at most some tens of callbacks, of MAX_CALLBACK_BYTES each, whose bodies wait to be kept as files.
_LONGEST: Final = 1 << 30

T = TypeVar("T")
Part = list[Any]


def batches(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def written(parts: Iterable[Part]) -> Iterator[bytes]:
    """Give the bytes of the file with these parts."""
    digest, seen = sha256(), Counter[str]()

    def counted() -> Iterator[bytes]:
        yield _TITLE + str(VERSION).encode() + b"\n"
        for part in parts:
            seen[part[0]] += 1
            yield encode(part)
        yield encode(["ended", dict(seen)])

    for piece in counted():
        digest.update(piece)
        yield piece
    yield digest.digest()


def encode(part: Part) -> bytes:
    """The part behind its length."""
    text = json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode("latin-1")
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text


def check_title(line: bytes) -> None:
    """Raise ``InvalidInput`` unless it is the first line of a file that this version reads."""
    version = line.removeprefix(_TITLE).removesuffix(b"\n")
    if not line.startswith(_TITLE) or not line.endswith(b"\n") or not version.isdigit():
        raise InvalidInput("this is no backup of swiftia-receiver; name a file that `swiftia-receiver backup` made")
    if int(version) > VERSION:
        raise InvalidInput(
            f"a newer swiftia-receiver made this backup (version {int(version)}, this one reads up to {VERSION}); "
            "restore it with that one"
        )
    if int(version) < 1:
        raise damaged()


def read_title(source: Source) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_TITLE and (byte := source.read(1)):
        line += byte
    return line


def parts(source: Source) -> Iterator[Part]:
    """Read what stands behind the title, up to the end of it. Only for a file whose SHA-256 fits."""
    seen: Counter[str] = Counter()
    while True:
        part = _read(source)
        if part[0] == "ended":
            if part[1] != dict(seen):
                raise damaged()
            return
        seen[part[0]] += 1
        yield part


def _read(source: Source) -> Part:
    length = int.from_bytes(_exactly(source, _LENGTH_BYTES), "big")
    if length > _LONGEST:
        raise damaged()
    try:
        part = json.loads(_exactly(source, length).decode("latin-1"))
    except ValueError:
        raise damaged() from None
    if not isinstance(part, list) or len(part) < 2 or not isinstance(part[0], str):  # noqa: PLR2004 - a name, and more
        raise damaged()
    return part


def _exactly(source: Source, size: int) -> bytes:
    found = source.read(size)
    if len(found) != size:
        raise damaged()
    return found


def damaged() -> InvalidInput:
    return InvalidInput("this backup is damaged: it is not as it was written, or was cut off; take another copy of it")


def to_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def to_text(value: bytes) -> str:
    return value.decode("latin-1")
