"""Columns of text: as wide as they must be, never cut, so that they can be piped on."""

from collections.abc import Sequence
from typing import Final

_THOUSAND: Final = 1000
_UNITS: Final = ("kB", "MB", "GB", "TB")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with aligned columns.

    >>> print(table(["id", "state"], [["j1", "finished"], ["job-22", "parked"]]))
    ID      STATE
    j1      finished
    job-22  parked
    """
    lines = [[head.upper() for head in heads], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def size_text(size: float | None) -> str:
    """Return a size in bytes for people.

    >>> [size_text(size) for size in (None, 512, 130_000, 5_400_000_000)]
    ['', '512 B', '130.0 kB', '5.4 GB']
    """
    if size is None:
        return ""
    if size < _THOUSAND:
        return f"{size:.0f} B"
    value, unit = size / _THOUSAND, 0
    while round(value) >= _THOUSAND and unit + 1 < len(_UNITS):
        value, unit = value / _THOUSAND, unit + 1
    return f"{value:.1f} {_UNITS[unit]}"
