"""The body of POST /api/jobs, in every form that docs and clients send [PJ1, SEED1, KB, N8N-A, EXPR]."""

from dataclasses import dataclass
from typing import Any

from workers.sandbox.answers import Refused, invalid
from workers.sandbox.bodies import is_number, is_url, section, text
from workers.sandbox.magic import words_in

FUNCTION = "VideoShorts"
LONGEST_SHORT = 300
_KNOWN = {"functionName", "youtubeVideoId", "fileUrl", "options", "webhook", "name", "videoSource"}


@dataclass(frozen=True, slots=True)
class Clip:
    """One predefined short, in seconds."""

    title: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Submission:
    """``unknown``: fields no page and no client knows; accepted, and shown in the books."""

    video: str
    title: str
    webhook: str
    clips: tuple[Clip, ...]
    words: frozenset[str]
    unknown: tuple[str, ...]


def read_submission(document: dict[str, Any]) -> Submission:
    """Raise Refused, a 400, for a body that the docs do not allow."""
    function = text(document, "functionName")
    if not function:
        raise Refused(invalid("The 'functionName' parameter is required."))
    if function != FUNCTION:
        raise Refused(invalid(f"The 'functionName' parameter must be '{FUNCTION}'."))
    options = section(document, "options")
    video = _video(document, options)
    return Submission(
        video=video,
        title=text(document, "name") or f"Video {video[:80]}",
        webhook=_webhook(document),
        clips=_clips(options),
        words=words_in(video),
        unknown=tuple(sorted(document.keys() - _KNOWN)),
    )


def _video(document: dict[str, Any], options: dict[str, Any]) -> str:
    video = text(document, "youtubeVideoId") or text(options, "youtubeVideoId")
    file_url = text(document, "fileUrl")
    if file_url and not is_url(file_url):
        raise Refused(invalid("The 'fileUrl' parameter must be an http or https URL."))
    if not (video.strip() or file_url):
        raise Refused(invalid("The 'youtubeVideoId' parameter is required."))
    return video or file_url


def _webhook(document: dict[str, Any]) -> str:
    webhook = text(document, "webhook")
    if webhook and not is_url(webhook):
        raise Refused(invalid("The 'webhook' parameter must be an http or https URL."))
    return webhook


def _clips(options: dict[str, Any]) -> tuple[Clip, ...]:
    wanted = options.get("predefinedShorts")
    if wanted is None:
        return ()
    if not isinstance(wanted, list) or not wanted:
        raise Refused(invalid("The 'options.predefinedShorts' parameter must be a list of shorts."))
    return tuple(_clip(each) for each in wanted)


def _clip(wanted: object) -> Clip:
    if not isinstance(wanted, dict):
        raise Refused(invalid("A predefined short must be an object."))
    start: Any = wanted.get("start")
    end: Any = wanted.get("end")
    if not is_number(start) or not is_number(end) or start < 0:
        raise Refused(invalid("A predefined short needs 'start' and 'end' in seconds."))
    if start >= end:
        raise Refused(invalid("start must be smaller than end"))
    if end - start > LONGEST_SHORT:
        raise Refused(invalid(f"A predefined short lasts at most {LONGEST_SHORT} seconds."))
    return Clip(text(wanted, "title"), float(start), float(end))
