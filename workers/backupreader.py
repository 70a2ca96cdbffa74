"""A backup that lies on a disk, read piece by piece."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from workers.backupfile import DIGEST_BYTES, Part, check_title, damaged, parts, read_title, to_bytes
from workers.errors import InvalidInput

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Began:
    """What a backup says of itself. ``gone``: digests of what was erased while it was made."""

    facts: dict[str, Any]
    gone: frozenset[str]

    @property
    def at_ms(self) -> int:
        return int(self.facts["at"])

    def lacks(self, subject: str) -> bool:
        """Whether it was erased meanwhile. ``subject``: of a job, a submission, or of something that is one's."""
        if not self.gone or not subject:
            return False
        name = subject.removeprefix("ref:").partition("/")[0].partition("!")[0]
        return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest() in self.gone


class BackupReader:
    """Raises ``InvalidInput`` from every method for a file that cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self) -> Began:
        """Read all of it. Raises unless it is whole, and of a version we read."""
        with self._opened() as file:
            title = read_title(file)
            check_title(title)
            digest, left = hashlib.sha256(title), self.path.stat().st_size - len(title) - DIGEST_BYTES
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                digest.update(piece)
                left -= len(piece)
            if left != 0 or file.read(DIGEST_BYTES + 1) != digest.digest():
                raise damaged()
        facts, gone = {}, frozenset[str]()
        for part in self.parts():
            if part[0] == "began":
                facts = part[1]
            elif part[0] == "gone":
                gone = frozenset(part[1])
        return Began(facts, gone)

    def parts(self) -> Iterator[Part]:
        """Only for a file that was found whole."""
        with self._opened() as file:
            check_title(read_title(file))
            yield from parts(file)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be read: {error.strerror}") from error


def pieces(left: Iterator[Part], size: int) -> Iterator[bytes]:
    """Take the pieces of a file of ``size`` bytes off what is left of the backup."""
    while size > 0:
        kind, text = next(left)
        if kind != "piece":
            raise damaged()
        size -= len(text)
        yield to_bytes(text)
