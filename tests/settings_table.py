"""``make settings-table``: writes the README's table of settings anew, from what ``Settings`` says of itself."""

import sys
from pathlib import Path

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from workers.settings import Settings, Shown
from workers.units import duration_text, seconds_of, size_of, size_text

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "| variable | default | meaning |\n|---|---|---|\n", "\n"


def table() -> str:
    return "".join(
        f"| `{name.upper()}` | {default_of(field)} | {' '.join((field.description or '').split())} |\n"
        for name, field in Settings.model_fields.items()
    )


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
