"""``make settings-table``: writes the README's table of settings anew, from what ``Settings`` says of itself."""

import ast
import inspect
import sys
from itertools import pairwise
from pathlib import Path

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from workers.settings import Settings, Shown
from workers.units import seconds_of, size_of

README = Path(__file__).parents[1] / "README.md"
DURATIONS = {"d": 86_400, "h": 3600, "m": 60}
SIZES = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10}
BEGIN, END = "| variable | default | meaning |\n|---|---|---|\n", "\n"


def table() -> str:
    said = meanings()
    return "".join(
        f"| `{name.upper()}` | {default_of(field)} | {said.get(name, '')} |\n"
        for name, field in Settings.model_fields.items()
    )


def meanings() -> dict[str, str]:
    """Return what is said below each field of ``Settings``, by its name, on one line."""
    (model,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(model, ast.ClassDef)
    said = {}
    for field, below in pairwise(model.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                said[name] = " ".join(text.split())
    return said


def default_of(field: FieldInfo) -> str:
    for note in field.metadata:
        if isinstance(note, Shown):
            return note.text
    value, readers = field.default, {note.func for note in field.metadata if isinstance(note, BeforeValidator)}
    if value in (None, (), ""):
        return "not set"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if seconds_of in readers:
        return f"`{duration_text(value)}`"
    if size_of in readers:
        return f"`{size_text(value)}`"
    return f"`{value:g}`" if isinstance(value, int | float) else f"`{value}`"


def duration_text(seconds: float) -> str:
    """Write a duration as it would be set, as shortly as it can be read."""
    for unit, length in DURATIONS.items():
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def size_text(size: int) -> str:
    for unit, length in SIZES.items():
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def with_table(text: str) -> str:
    """``text`` with today's table in place of its own."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(f"|\n{END}", 1)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> int:
    README.write_text(with_table(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
