"""JSON from outside: any bytes become a value or ``InvalidInput``, and any value can be looked into without harm.

The pickers answer None for what is missing or of a wrong type; they never raise. A reader built from them needs no
checks of its own.
"""

import json
import math
import re
from typing import Any, Final

from workers.errors import InvalidInput

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NUMBER = 64
# Above this a JSON reader that keeps numbers as floats, as most do, no longer tells neighbours apart.
_LARGEST_WHOLE: Final = 2**53


def parse_json(raw: bytes, *, what: str) -> object:
    """Read one UTF-8 JSON document, with or without a byte order mark.

    Raise ``InvalidInput`` naming ``what`` for anything else: another encoding, NaN and Infinity (numbers too large
    for a float as well), integers of thousands of digits, nesting deeper than the interpreter follows. Of a repeated
    key the last value counts.
    """
    # Raised after the except clauses: chained, JSONDecodeError would keep the whole document in reach of the logs.
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"{error.msg} (character {error.pos})"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:
        problem = str(error)[:200]
    raise InvalidInput(f"{what} must be one UTF-8 JSON document and is not: {problem}", size=len(raw))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def member(value: object, *keys: str) -> object:
    """Return what stands under the first of ``keys`` that is there and not null; None if ``value`` is no object."""
    if not isinstance(value, dict):
        return None
    return next((found for key in keys if (found := value.get(key)) is not None), None)


def objects(value: object, key: str) -> list[dict[str, Any]]:
    """Return the objects of the list that stands under ``key``; none if there is no such list."""
    found = member(value, key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(value: object, *, limit: int | None = None) -> str | None:
    """Return a string that is not blank, cut at ``limit`` characters.

    Half surrogate pairs (JSON can escape them, UTF-8 cannot hold them) become U+FFFD, so that it can be encoded.
    """
    if not isinstance(value, str) or not value.strip():
        return None
    return _SURROGATE.sub("\ufffd", value[:limit])


def number(value: object) -> float | None:
    """Return a finite number, also one written as a decimal string (" 12.5 "). True and false are no numbers."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond every float
        return None


def whole(value: object) -> int | None:
    """Return a number from 0 to 2**53 without a fraction: a count, a size, a position."""
    found = number(value)
    if found is None or not found.is_integer() or not 0 <= found <= _LARGEST_WHOLE:
        return None
    return int(found)


def fraction(value: object) -> float:
    """Return a number from 0.0 to 1.0: what is beyond is at the end, and what is no number is nothing."""
    return min(max(number(value) or 0.0, 0.0), 1.0)
