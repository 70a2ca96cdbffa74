"""The body of POST /api/render, in the forms of docs and clients that name a job [REN1, PR1, PR2, PR3]."""

from dataclasses import dataclass
from typing import Any

from workers.sandbox.answers import Refused, invalid
from workers.sandbox.bodies import is_number, is_whole, section, text

PRESETS = {
    "DEFAULT",
    "GRAPES",
    "VIRAL",
    "BLURRY",
    "FAST",
    "DEEP DIVER",
    "GLOW VIOLET",
    "70S RADIATION",
    "BILL GREEN",
    "ETHEREAL UNDERLINE",
}
_KNOWN = {"id", "jobId", "type", "target", "brandPresetId", "preset", "size", "options"}
_KNOWN_OPTIONS = {"maxWordsInPage", "waterMark", "style", "director"}
_MARK_TEXTS = ("waterMarkUrl", "left", "top", "bottom", "width", "blendMode", "opacity")


@dataclass(frozen=True, slots=True)
class RenderOrder:
    """``old_name``: the job was named by ``jobId``. ``target``: whatever JSON value was sent."""

    job_id: str
    old_name: bool
    target: object
    brand_preset: str
    unknown: tuple[str, ...]


def read_order(document: dict[str, Any]) -> RenderOrder:
    """Raise Refused, a 400, for a body that the docs do not allow."""
    options = section(document, "options")
    job_id = text(document, "id") or text(document, "jobId")
    if not job_id:
        raise Refused(invalid("The 'id' parameter is required."))
    if document.get("target") is None:
        raise Refused(invalid("The 'target' parameter is required."))
    if text(document, "type") not in {"", "shortVideo"}:
        raise Refused(invalid("The 'type' parameter must be 'shortVideo'."))
    if "preset" in document and text(document, "preset") not in PRESETS:
        raise Refused(invalid("The 'preset' parameter is not a known preset."))
    _check_size(document)
    _check_options(options)
    unknown = (document.keys() - _KNOWN) | {f"options.{name}" for name in options.keys() - _KNOWN_OPTIONS}
    return RenderOrder(
        job_id=job_id,
        old_name=not text(document, "id"),
        target=document["target"],
        brand_preset=text(document, "brandPresetId"),
        unknown=tuple(sorted(unknown)),
    )


def _check_size(document: dict[str, Any]) -> None:
    if "size" not in document:
        return
    size = section(document, "size")
    if not is_whole(size.get("width")) or not is_whole(size.get("height")) or not isinstance(size.get("name"), str):
        raise Refused(invalid("The 'size' parameter needs 'width' and 'height' in pixels and a 'name'."))


def _check_options(options: dict[str, Any]) -> None:
    if "maxWordsInPage" in options and not is_whole(options["maxWordsInPage"]):
        raise Refused(invalid("The 'options.maxWordsInPage' parameter must be a whole number above 0."))
    mark = section(options, "waterMark")
    for name in _MARK_TEXTS:
        text(mark, name)
    if not _is_opacity(mark.get("opacity", "1.0")):
        raise Refused(invalid('The \'opacity\' of a water mark must be a string from "0.0" to "1.0".'))
    _check_director(section(options, "director"))
    _check_style(options.get("style", []))


def _is_opacity(value: str) -> bool:
    try:
        return 0.0 <= float(value) <= 1.0
    except ValueError:
        return False


def _check_director(director: dict[str, Any]) -> None:
    if not is_number(section(director, "camera").get("facePaddingFactor", 1)):
        raise Refused(invalid("The 'facePaddingFactor' of the camera must be a number."))
    if not is_number(section(director, "intelligence").get("maxSpeakersToFocus", 1)):
        raise Refused(invalid("The 'maxSpeakersToFocus' parameter must be a number."))


def _check_style(style: object) -> None:
    if not isinstance(style, list):
        raise Refused(invalid("The 'options.style' parameter must be a list."))
    for entry in style:
        if not isinstance(entry, dict) or not text(entry, "property"):
            raise Refused(invalid("Each entry of 'options.style' needs a 'property'."))
        section(entry, "active")
        section(entry, "past")
