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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from workers import keys
from workers.errors import InvalidInput
from workers.identifiers import JobSubject, RefSubject, parse_subject

VERSION: Final = 1
DIGEST_BYTES: Final = 32
_TITLE: Final = b"swiftia-receiver backup, version "
_LENGTH_BYTES: Final = 4
_LONGEST_TITLE: Final = 64
# A job has at most some tens of callbacks, of MAX_CALLBACK_BYTES each, whose bodies wait to be kept as files.
_LONGEST: Final = 1 << 30

T = TypeVar("T")
Part = list[Any]
Owner = JobSubject | RefSubject
Key = tuple[str, str, tuple[bytes, ...]]
"""A key, its type (hash or list), its words."""
Place = tuple[str, str, str]
"""An index, who stands in it, and at which score."""


def batches(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Copy:
    """A job, or a submission, as it stood at one moment: its keys, and its places in the indexes."""

    owner: Owner
    keys: tuple[Key, ...]
    places: tuple[Place, ...]

    @classmethod
    def of(cls, owner: Owner, found: Sequence[Any], places: Sequence[Any]) -> "Copy":
        """``found`` and ``places``: as ``lua/copy.lua`` gives them. Two copies are equal if they hold the same."""
        return cls(
            owner,
            tuple(sorted((_text(key), _text(kind), _ordered(_text(kind), words)) for key, kind, words in found)),
            tuple(sorted((_text(index), _text(member), _text(score)) for index, member, score in places)),
        )

    def digest(self) -> bytes:
        return sha256(encode(self.part())).digest()

    def part(self) -> Part:
        found = [[key, kind, [word.decode("latin-1") for word in words]] for key, kind, words in self.keys]
        return ["copy", str(self.owner), found, [list(place) for place in self.places]]

    def counts(self) -> Counter[str]:
        """What is in it, by the names of the table that is shown."""
        counts: Counter[str] = Counter()
        for key, _, words in self.keys:
            family = key.removeprefix(keys.PREFIX).partition(":")[0]
            # The refs of a job are copied by themselves before it.
            if family in _COUNTED and (family != "ref" or isinstance(self.owner, RefSubject)):
                counts[_COUNTED[family]] += len(words) if family == "callbacks" else 1
        for index, _, _ in self.places:
            name = index.removeprefix(keys.PREFIX)
            if name.startswith("jobs:"):
                counts[name.replace(":", " ")] += 1
            elif name.startswith("due:"):
                counts["due"] += 1
        return counts


_COUNTED: Final = {
    "job": "jobs",
    "ref": "refs",
    "render": "renders",
    "delivery": "deliveries",
    "callbacks": "callbacks",
}


def read_copy(part: Part) -> Copy:
    subject, found, places = part[1:]
    owner = parse_subject(subject)
    if not isinstance(owner, JobSubject | RefSubject):
        raise _unreadable()
    return Copy.of(owner, [(key, kind, list(map(to_bytes, words))) for key, kind, words in found], places)


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


def _unreadable() -> InvalidInput:
    return InvalidInput("this backup holds something that this version does not know; restore it with a newer one")


def to_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def to_text(value: bytes) -> str:
    return value.decode("latin-1")


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _ordered(kind: str, words: Sequence[bytes]) -> tuple[bytes, ...]:
    if kind != "hash":
        return tuple(words)
    # Redis gives the fields of a hash in any order.
    pairs = sorted(zip(words[::2], words[1::2], strict=True))
    return tuple(word for pair in pairs for word in pair)


# What no backup holds: it says who is there just now, or is made anew. Nudges are RQ's keys, and come again when due.
PASSING: Final = (
    keys.PRESENT,
    keys.CHECK,
    f"{keys.PREFIX}probe",
    f"{keys.PREFIX}replicated",
    f"{keys.PREFIX}console:tries:",
    f"{keys.PREFIX}jobs",  # the index of an earlier version; those by state are places
)
# What goes with the job or submission whose it is, as its keys or as its places.
OF_SUBJECTS: Final = (
    *(f"{keys.PREFIX}{family}:" for family in ("job", "ref", "render", "delivery")),
    *(f"{keys.PREFIX}{family}:" for family in ("timeline", "callbacks", "bodies", "seen")),
    *(f"{keys.PREFIX}{family}:" for family in ("due", "jobs", "parked")),
    keys.TARGETS,
    keys.GROUPS,
    keys.ENDED,
    keys.UNPACKED,
    keys.UNARCHIVED,
    keys.PARKED_DELIVERIES,
    f"{keys.PREFIX}freeing",
    f"{keys.PREFIX}busy",
    f"{keys.PREFIX}busy@",
)


def is_of_all(key: str) -> bool:
    """Whether a key of ours is nobody's in particular, and a backup holds it for itself."""
    if _is_among(key, OF_SUBJECTS) or _is_among(key, PASSING):
        return False
    # What was sent within the last seconds. By the time of a restore it is long over.
    return not (key.startswith(f"{keys.PREFIX}budget") and key.endswith((":slots", ":claims")))


def _is_among(key: str, names: Sequence[str]) -> bool:
    return any(key.startswith(name) if name.endswith((":", "@")) else key == name for name in names)


def row_names(counts: Mapping[str, int]) -> list[str]:
    """The rows of the table, in its order."""
    first = ["jobs", *sorted(name for name in counts if name.startswith("jobs ")), "refs", "renders", "deliveries"]
    return [*first, *(name for name in ("callbacks", "due", "in the spool", "files") if name in counts)]
