"""One field of the sandbox's config: its environment variable, how its text is read, what it may hold."""

import math
from collections.abc import Callable
from dataclasses import Field, field
from typing import Any

Check = Callable[[Any], str]
"""Returns what the value must be, or "" where it is fine."""

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def setting(default: Any, *, check: Check = lambda _: "", env: str = "", secret: bool = False) -> Any:
    """Declare a dataclass field whose type is that of ``default``. ``env`` names its variable if not SANDBOX_<NAME>."""
    return field(default=default, repr=not secret, metadata={"check": check, "env": env})


def variable(of: Field[Any]) -> str:
    return of.metadata["env"] or f"SANDBOX_{of.name.upper()}"


def read(of: Field[Any], text: str) -> Any:
    """Raise ValueError saying what the text must be."""
    if isinstance(of.default, bool):
        return _flag(text)
    if isinstance(of.default, int | float):
        return _number(text, type(of.default))
    return text.strip()


def problem(of: Field[Any], value: Any) -> str:
    """Say what the value must be, or "" where it is fine."""
    wanted = type(of.default)
    fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        return f"a {wanted.__name__}"
    return str(of.metadata["check"](value))


def between(low: float, high: float) -> Check:
    return lambda value: "" if low <= value <= high else f"a number from {low:g} to {high:g}"


def positive(value: float) -> str:
    return "" if 0 < value < math.inf else "a positive number"


def not_negative(value: float) -> str:
    return "" if 0 <= value < math.inf else "zero or a positive number"


def filled(value: str) -> str:
    return "" if value else "not empty"


def one_of(*words: str) -> Check:
    return lambda value: "" if value in words else "one of " + ", ".join(word or "(empty)" for word in words)


def some_of(*words: str) -> Check:
    return lambda value: "" if names(value) and set(names(value)) <= set(words) else "some of " + ", ".join(words)


def names(text: str) -> tuple[str, ...]:
    """Split a list that is written with commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def parsed_by(parser: Callable[[str], object], wanted: str) -> Check:
    def check(text: str) -> str:
        try:
            parser(text)
        except ValueError:
            return wanted
        return ""

    return check


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("true or false")
    return word in _TRUE


def _number(text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("a whole number" if kind is int else "a number") from None
