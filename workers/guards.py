"""What is looked at before a job is submitted and paid for: what is certainly wrong is refused, the rest is passed on.

Swiftia's documents have gaps, so what is only unknown here gets a note and goes on as it is. Whatever JSON comes in,
out come notes, or ``InvalidInput`` that names the field and the fix. The facts are those of [PJ1], [SEED1] and [PR1-3].
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from workers.documents import number, whole
from workers.errors import InvalidInput

SHORTS: Final = "VideoShorts"
LONGEST_SHORT_S: Final = 300.0
MOST_NOTES: Final = 20
# The list may have grown since it was written down.
PRESETS: Final = (
    *("DEFAULT", "GRAPES", "VIRAL", "BLURRY", "FAST", "DEEP DIVER", "GLOW VIOLET", "70S RADIATION", "BILL GREEN"),
    "ETHEREAL UNDERLINE",
)
_REQUEST: Final = ("functionName", "youtubeVideoId", "fileUrl", "options")
_OPTIONS: Final = ("predefinedShorts",)
_SHORT: Final = ("title", "start", "end")
_RENDER_OPTIONS: Final = ("maxWordsInPage", "waterMark", "style", "director")
_UNKNOWN: Final = "is not known here and passed on as it is"
_LONGEST_NAME: Final = 60

Notes = tuple[str, ...]


def check_request(request: Mapping[str, object]) -> Notes:
    """Look over Swiftia's own body of POST /api/jobs, without ``webhook``."""
    function = request.get("functionName")
    if not isinstance(function, str) or not function.strip():
        raise InvalidInput(f"functionName is missing; for shorts it is {SHORTS}", field="functionName")
    _check_texts(request, "youtubeVideoId", "fileUrl")
    options = request.get("options")
    if options is not None and not isinstance(options, dict):
        raise _wrong("options", options, 'an object, such as {"predefinedShorts": […]}, or leave it out')
    notes = _unknown(request, _REQUEST, "")
    if function != SHORTS:
        return _few([f"functionName {_shown(function)} {_UNKNOWN}{_meant(function, (SHORTS,))}", *notes])
    notes += _check_source(request, options or {})
    notes += _unknown(options or {}, (*_OPTIONS, "youtubeVideoId"), "options.")
    notes += _check_shorts((options or {}).get("predefinedShorts"))
    return _few(notes)


def _check_texts(within: Mapping[str, object], *names: str, path: str = "") -> None:
    for name in names:
        value = within.get(name)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise _wrong(f"{path}{name}", value, "text that is not empty, or leave it out")


def _check_source(request: Mapping[str, object], options: Mapping[str, object]) -> list[str]:
    if request.get("youtubeVideoId") is not None or request.get("fileUrl") is not None:
        return []
    _check_texts(options, "youtubeVideoId", path="options.")
    if options.get("youtubeVideoId") is not None:
        return ["options.youtubeVideoId is passed on as it is; Swiftia documents youtubeVideoId outside of options"]
    said = f"{SHORTS} needs youtubeVideoId (an id or a YouTube address) or fileUrl, and has neither; give one of them"
    raise InvalidInput(said, field="youtubeVideoId")


def _check_shorts(shorts: object) -> list[str]:
    path = "options.predefinedShorts"
    if shorts is None:
        return []
    if not isinstance(shorts, list):
        raise _wrong(path, shorts, "a list of {title, start, end}, or leave it out to have the shorts chosen")
    notes = [] if shorts else [f"{path} is an empty list; leave it out to have the shorts chosen"]
    for index, short in enumerate(shorts):
        _check_short(short, f"{path}[{index}]")
        if len(notes) <= MOST_NOTES:
            notes += _unknown(short, _SHORT, f"{path}[{index}].")
    return notes


def _check_short(short: object, path: str) -> None:
    if not isinstance(short, dict):
        raise _wrong(path, short, "an object with title, start and end")
    _check_texts(short, "title", path=f"{path}.")
    start, end = _seconds(short, "start", path), _seconds(short, "end", path)
    if end <= start:
        said = f"{path}.end is {end:g} and start is {start:g}; a short ends after it starts, in seconds of the video"
        raise InvalidInput(said, field=f"{path}.end")
    if end - start > LONGEST_SHORT_S:
        said = f"{path} lasts {end - start:g} s; Swiftia takes at most {LONGEST_SHORT_S:g} s, so cut it into several"
        raise InvalidInput(said, field=f"{path}.end")


def _seconds(short: Mapping[str, object], name: str, path: str) -> float:
    value = short.get(name)
    found = None if isinstance(value, str) else number(value)
    if found is None or found < 0:
        raise _wrong(f"{path}.{name}", value, "a number of seconds from 0, such as 12.5, without quotes")
    return found


def check_render_options(options: Mapping[str, object]) -> None:
    """Look over the ``options`` of POST /api/render. The field that is named lies within them."""
    words = options.get("maxWordsInPage")
    if words is not None and (isinstance(words, str) or not whole(words)):
        raise _wrong("maxWordsInPage", words, "a whole number from 1, such as 5")
    for name in ("waterMark", "director"):
        value = options.get(name)
        if value is not None and not isinstance(value, dict):
            raise _wrong(name, value, "an object, or leave it out")
    mark = options.get("waterMark")
    if isinstance(mark, dict):
        _check_texts(mark, "waterMarkUrl", path="waterMark.")
    style = options.get("style")
    if style is not None and not (isinstance(style, list) and all(isinstance(one, dict) for one in style)):
        raise _wrong("style", style, "a list of objects with property and value")


def render_notes(*, preset: str | None, brand_preset: str | None, options: Mapping[str, Any] | None) -> Notes:
    """Tell what is not known of how renders are to be made."""
    notes = []
    if preset is not None and preset not in PRESETS:
        meant = _meant(preset.upper(), PRESETS) or f"; known are {', '.join(PRESETS)}"
        notes.append(f"preset {_shown(preset)} {_UNKNOWN}{meant}")
    if preset is not None and brand_preset is not None:
        notes.append("preset has no effect beside brand_preset, which comes first")
    return _few([*notes, *_unknown(options or {}, _RENDER_OPTIONS, "render.options.")])


def _unknown(value: Mapping[str, object], known: tuple[str, ...], path: str) -> list[str]:
    strange = sorted(set(value) - set(known))[: MOST_NOTES + 1]  # more are not told, and looking for each takes time
    return [f"{path}{_shown(name)} {_UNKNOWN}{_meant(name, known)}" for name in strange]


def _meant(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name[:_LONGEST_NAME], known, 1, 0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _few(notes: list[str]) -> Notes:
    return tuple(notes) if len(notes) <= MOST_NOTES else (*notes[:MOST_NOTES], "and more of this kind")


def _wrong(field: str, value: object, fix: str) -> InvalidInput:
    return InvalidInput(f"{field} is {_kind(value)}; it must be {fix}", field=field)


def _kind(value: object) -> str:
    match value:
        case None:
            return "missing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value!r}"[:_LONGEST_NAME] if number(value) is not None else "no number that can be used"
        case str():
            return _shown(value) if value.strip() else "empty text"
        case list():
            return "a list"
    return "an object"


def _shown(text: str) -> str:
    return ascii(text[:_LONGEST_NAME])
