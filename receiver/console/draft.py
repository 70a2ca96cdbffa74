"""The form of a submission: what stands in its fields becomes the body of ``POST /api/jobs``. Pure.

Each field is text, as it was typed. What cannot be used is told by field, all of it at once; whether the whole body
will do is for those to say who check every submission (``workers/guards.py``, ``workers/rules.py``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from receiver.order import nested, source
from workers.documents import parse_json
from workers.errors import InvalidInput
from workers.guards import SHORTS

# Every field of the form, in its order.
FIELDS: Final = (
    "source", "function", "account", "cuts", "options", "render", "shorts", "preset", "brand_preset", "size",
    "width", "height", "words", "mark", "render_options", "metadata", "delivery",
)  # fmt: skip
AS_RULED: Final = ""
NOT_AT_ALL: Final = "none"
SIZES: Final[Mapping[str, Mapping[str, object]]] = {
    "9:16": {"width": 1080, "height": 1920, "name": "9:16"},
    "16:9": {"width": 1920, "height": 1080, "name": "16:9"},
}
OWN_SIZE: Final = "own"
LONGEST: Final = 20_000
_CUT = re.compile(
    r"(?P<start>[0-9:.]{1,20})\s*(?:-|\u2013|to|\s)\s*(?P<end>[0-9:.]{1,20})(?:\s+(?P<title>\S.*))?", re.ASCII
)
_TIME = re.compile(r"(?:(?:([0-9]{1,3}):)?([0-9]{1,3}):)?([0-9]{1,6}(?:\.[0-9]{1,6})?)", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)
_MOST_CUTS: Final = 200
# Where the names of what is checked elsewhere begin, and whose field that is here.
_PLACES: Final = (
    ("functionName", "function"),
    ("youtubeVideoId", "source"),
    ("fileUrl", "source"),
    ("options.predefinedShorts", "cuts"),
    ("options", "options"),
    ("metadata", "metadata"),
    ("account", "account"),
    ("the delivery URL", "delivery"),
    ("a delivery URL", "delivery"),
    ("render shorts", "shorts"),
    ("render preset", "preset"),
    ("render brand_preset", "brand_preset"),
    ("render size", "size"),
    ("render", "render_options"),
)


@dataclass
class Draft:
    """``body``: of ``POST /api/jobs``. ``problems``: by field."""

    body: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, reading: Callable[[], object]) -> Any:
        try:
            return reading()
        except InvalidInput as error:
            self.problems.setdefault(name, error.message)
            return None


def draft(form: Mapping[str, str]) -> Draft:
    """``form``: text by field; a field that is missing is empty."""
    given = {name: form.get(name, "").strip() for name in FIELDS}
    found = Draft()
    for name, text in given.items():
        if len(text) > LONGEST:
            found.problems[name] = f"this is longer than {LONGEST:,} characters"
            given[name] = ""
    found.body["functionName"] = given["function"] or SHORTS
    if given["source"]:
        found.body.update(found.read("source", lambda: source(given["source"])) or {})
    elif "source" not in found.problems:
        found.problems["source"] = "say which video: a YouTube id or address, or the address of a file"
    if options := _options(found, given):
        found.body["options"] = options
    render = _render(found, given)
    if render is not None:
        found.body["render"] = render
    if metadata := found.read("metadata", lambda: _metadata(given["metadata"])):
        found.body["metadata"] = metadata
    for name in ("account", "delivery"):
        if given[name]:
            found.body[name] = given[name]
    return found


def field_of(error: InvalidInput) -> str:
    """Tell whose fault it is: the name of a field, or empty for the form as a whole."""
    place = str(error.values.get("field") or error.message)
    return next((name for start, name in _PLACES if place.startswith(start)), "")


def read_cuts(text: str) -> list[dict[str, object]]:
    """Read one short a line: from when to when, and its title.

    >>> read_cuts("1:02 - 1:30.5 The turn")
    [{'start': 62.0, 'end': 90.5, 'title': 'The turn'}]
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) > _MOST_CUTS:
        raise InvalidInput(f"these are {len(lines)} shorts; at most {_MOST_CUTS} are taken")
    return [_cut(number, line) for number, line in lines]


def _cut(number: int, line: str) -> dict[str, object]:
    match = _CUT.fullmatch(line)
    start, end = (_seconds(match["start"]), _seconds(match["end"])) if match else (None, None)
    if match is None or start is None or end is None:
        raise InvalidInput(f"line {number} is not as in: 3.5 48 Opening, or 1:02 1:30 The turn")
    title = match["title"]
    return {"start": start, "end": end, **({"title": title} if title else {})}


def _seconds(text: str) -> float | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3])


def _options(found: Draft, given: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = found.read("options", lambda: _object(given["options"])) or {}
    if cuts := found.read("cuts", lambda: read_cuts(given["cuts"])):
        options["predefinedShorts"] = cuts
    return options


def _render(found: Draft, given: Mapping[str, str]) -> object:
    if given["render"] == NOT_AT_ALL:
        return False
    if given["render"] != AS_RULED:
        found.problems["render"] = "choose one of the two"
    return _rule(found, given) or None


def _rule(found: Draft, given: Mapping[str, str]) -> dict[str, Any]:
    rule: dict[str, Any] = {name: given[name] for name in ("preset", "brand_preset") if given[name]}
    if given["shorts"]:
        rule["shorts"] = _shorts(given["shorts"])
    if size := found.read("size", lambda: _size(given)):
        rule["size"] = size
    if options := _render_options(found, given):
        rule["options"] = options
    return rule


def _render_options(found: Draft, given: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = found.read("render_options", lambda: _object(given["render_options"])) or {}
    if given["words"]:
        options["maxWordsInPage"] = found.read("words", lambda: _whole(given["words"], "so many words a page"))
    if given["mark"]:
        mark = options.get("waterMark", {})
        options["waterMark"] = {**(mark if isinstance(mark, dict) else {}), "waterMarkUrl": given["mark"]}
    return options


def _shorts(text: str) -> object:
    """Read which shorts: ``all``, ``none``, the first so many, or the ids of some, with commas between them.

    >>> _shorts("all"), _shorts("3"), _shorts("1, sh_b")
    ('all', 3, [1, 'sh_b'])
    """
    if text in ("all", "none"):
        return text
    parts = [part.strip() for part in text.split(",")]
    ids: list[object] = [int(part) if _WHOLE.fullmatch(part) else part for part in parts if part]
    return ids[0] if len(parts) == 1 and isinstance(ids[0], int) else ids


def _size(given: Mapping[str, str]) -> Mapping[str, object] | None:
    name = given["size"]
    if not name:
        return None
    if name in SIZES:
        return SIZES[name]
    if name != OWN_SIZE:
        raise InvalidInput("choose one of the sizes")
    return {side: _whole(given[side], f"the {side} is in pixels") for side in ("width", "height")}


def _whole(text: str, what: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise InvalidInput(f"{what}: a whole number")
    return int(text)


def _object(text: str) -> dict[str, Any]:
    if not text:
        return {}
    found = parse_json(text.encode("utf-8", "surrogatepass"), what="this")
    if not isinstance(found, dict):
        raise InvalidInput('this must be a JSON object, such as {"language": "en"}')
    return found


def _metadata(text: str) -> object:
    """Read JSON, or a ``key=value`` on each line."""
    if text.startswith(("{", "[")):
        return parse_json(text.encode("utf-8", "surrogatepass"), what="metadata")
    return nested([line.strip() for line in text.splitlines() if line.strip()], what="")
