"""A job, or a submission, as a backup holds it: whole, as it stood at one moment. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from workers import keys
from workers.backupfile import Part, encode, to_bytes
from workers.errors import InvalidInput
from workers.identifiers import JobSubject, RefSubject, parse_subject

Owner = JobSubject | RefSubject
Key = tuple[str, str, tuple[bytes, ...]]
"""A key, its type (hash or list), its words."""
Place = tuple[str, str, str]
"""An index, who stands in it, and at which score."""


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


def _unreadable() -> InvalidInput:
    return InvalidInput("this backup holds something that this version does not know; restore it with a newer one")


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _ordered(kind: str, words: Sequence[bytes]) -> tuple[bytes, ...]:
    if kind != "hash":
        return tuple(words)
    # Redis gives the fields of a hash in any order.
    pairs = sorted(zip(words[::2], words[1::2], strict=True))
    return tuple(word for pair in pairs for word in pair)


def row_names(counts: Mapping[str, int]) -> list[str]:
    """The rows of the table, in its order."""
    first = ["jobs", *sorted(name for name in counts if name.startswith("jobs ")), "refs", "renders", "deliveries"]
    return [*first, *(name for name in ("callbacks", "due", "in the spool", "files") if name in counts)]
