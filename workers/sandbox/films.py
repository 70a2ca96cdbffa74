"""Small real movies, each render's bytes its own: a base film, then an ISO-BMFF ``free`` box that players skip."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

NAMES = ("bars.mp4", "sunset.mp4", "tide.mp4")
_UNIT = 64 * 1024
_HEAD = 8
_LEAST_FILLER = 32


@dataclass(frozen=True, slots=True)
class Film:
    """``key`` decides the bytes; ``wanted`` is the size asked for, in bytes. A base film sets the least size."""

    key: str
    wanted: int

    @property
    def size(self) -> int:
        return max(self.wanted, len(self._base) + _HEAD + _LEAST_FILLER)

    @property
    def sha256(self) -> str:
        return _sha256(self)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``start`` up to ``stop`` in pieces of 64 KiB at most."""
        at, end = start, self.size if stop is None else min(stop, self.size)
        while at < end:
            piece = self._piece(at)[: end - at]
            yield piece
            at += len(piece)

    @property
    def _base(self) -> bytes:
        return _films()[hashlib.sha256(self.key.encode()).digest()[0] % len(NAMES)]

    @property
    def _front(self) -> bytes:
        filler = self.size - len(self._base)
        return self._base + filler.to_bytes(4, "big") + b"free"

    def _piece(self, at: int) -> bytes:
        front = self._front
        if at < len(front):
            return front[at:]
        unit, inside = divmod(at - len(front), _UNIT)
        # The number of the unit is part of it, so that bytes taken from a wrong offset are wrong bytes.
        return (unit.to_bytes(8, "big") + _filler(self.key))[inside:]


@cache
def _films() -> tuple[bytes, ...]:
    folder = resources.files("workers.sandbox") / "films"
    return tuple((folder / name).read_bytes() for name in NAMES)


@lru_cache(maxsize=256)
def _filler(key: str) -> bytes:
    return hashlib.shake_256(key.encode()).digest(_UNIT - 8)


@lru_cache(maxsize=65536)
def _sha256(film: Film) -> str:
    whole = hashlib.sha256()
    for piece in film.read():
        whole.update(piece)
    return whole.hexdigest()
