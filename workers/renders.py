"""One render at Swiftia: what we send to start it, and what it answers, read from every dialect.

``type`` is ``queued`` (newest docs only), ``progress``, ``done``, and for a failure ``error``, ``failed`` or, in the
older docs' example, no ``type`` at all but ``status`` 500 and ``code`` RENDERING_ERROR [REN1-3, GR1, GR3].
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from workers.documents import member, number, text, whole
from workers.errors import InvalidInput, UnreadableAnswer
from workers.identifiers import job_id as checked_job_id
from workers.results import is_short_id

_RENDER_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_URL = re.compile(r"https?://[\x21-\x7e\xa1-\U0010ffff]{1,8000}", re.IGNORECASE)
_MESSAGE, _WORD = 500, 64
_RENDERING_ERROR = "RENDERING_ERROR"


class RenderPhase(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


# The list of types is open: what is not in here is waited on. "completed" comes from clients of others only.
_PHASES = {
    "queued": RenderPhase.QUEUED,
    "progress": RenderPhase.RUNNING,
    "processing": RenderPhase.RUNNING,
    "done": RenderPhase.DONE,
    "completed": RenderPhase.DONE,
    "error": RenderPhase.FAILED,
    "failed": RenderPhase.FAILED,
}


@dataclass(frozen=True, slots=True)
class RenderReport:
    """``progress``: 0.0 to 1.0. ``queue_position``: lower is sooner. ``size``: bytes. ``url`` is there when done.
    ``message``: why it failed. ``said``: Swiftia's own word for the phase.
    """

    phase: RenderPhase
    progress: float | None = None
    queue_position: int | None = None
    url: str | None = None
    size: int | None = None
    message: str | None = None
    said: str | None = None


def render_id(value: object) -> str:
    """Only such an id may become part of a URL. Raise ``InvalidInput`` otherwise."""
    if not isinstance(value, str) or _RENDER_ID.fullmatch(value) is None:
        raise InvalidInput("a render id is 1 to 128 letters, digits, '-' and '_'", got=repr(value)[:80])
    return value


def render_request(
    job_id: str,
    target: int | str,
    *,
    preset: str | None = None,
    brand_preset_id: str | None = None,
    size: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    render_type: str | None = None,
) -> dict[str, object]:
    """Build the body of ``POST /api/render`` as the newest docs have it [PR3]; what is None is left out.

    ``target``: the id of a short in the JSON type it came in. ``size``: ``{width, height, name}`` in pixels.
    """
    if not is_short_id(target):
        raise InvalidInput("the target of a render is the id of a short", got=repr(target)[:80])
    wishes = {
        "type": render_type,
        "preset": preset,
        "brandPresetId": brand_preset_id,
        "size": None if size is None else dict(size),
        "options": None if options is None else dict(options),
    }
    given = {name: value for name, value in wishes.items() if value is not None}
    return {"id": checked_job_id(job_id), "target": target, **given}


def read_started(document: object) -> str:
    """Return the render id, as text. On ``UnreadableAnswer`` a render was started all the same, under an unknown id."""
    found = member(document, "renderId")
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 1 << 63:
        found = str(found)
    if isinstance(found, str) and _RENDER_ID.fullmatch(found):
        return found
    raise UnreadableAnswer(
        "Swiftia accepted the render but its answer holds no usable renderId, so this render cannot be watched; "
        "retry the render if its file is needed"
    )


def read_report(document: object, *, status_code: int) -> RenderReport:
    """Read the answer of ``GET /api/render/{id}``. ``status_code``: of the HTTP answer it came in.

    Raise ``UnreadableAnswer`` for what is no object, for ``done`` without an http(s) ``url``, and for an error that is
    not the render's own.
    """
    if not isinstance(document, dict):
        raise UnreadableAnswer("Swiftia's answer about the render is no JSON object; check SWIFTIA_BASE_URL")
    report = _report(_phase(document, status_code), document)
    if report.phase is RenderPhase.DONE and report.url is None:
        raise UnreadableAnswer("Swiftia says the render is done but gives no http(s) url of its file; ask again later")
    return report


def is_render_failure(document: object) -> bool:
    """Whether an answer says that the render failed, as opposed to the request for it.

    The HTTP status that goes with a failed render is not documented, so this holds for every one. Only marks that no
    other error of this API bears are taken: the ``type``, or the code RENDERING_ERROR.
    """
    phase = _named_phase(document, "type")
    return phase is RenderPhase.FAILED or (phase is None and member(document, "code") == _RENDERING_ERROR)


def _phase(document: dict[str, object], status_code: int) -> RenderPhase:
    if is_render_failure(document):
        return RenderPhase.FAILED
    # ``status`` is a word in some dialects and a number, as in HTTP, in others.
    phase = _named_phase(document, "type") or _named_phase(document, "status") or RenderPhase.RUNNING
    number_said = whole(document.get("status")) or 0
    without_type = member(document, "type") is None
    if status_code < HTTPStatus.BAD_REQUEST and not (without_type and number_said >= HTTPStatus.BAD_REQUEST):
        return phase
    if status_code < HTTPStatus.BAD_REQUEST and member(document, "code") is None:
        return RenderPhase.FAILED
    raise UnreadableAnswer("Swiftia's answer about the render is an error of another kind; ask again later")


def _named_phase(document: object, key: str) -> RenderPhase | None:
    return _PHASES.get((text(member(document, key), limit=_WORD) or "").strip().casefold())


def _report(phase: RenderPhase, document: dict[str, object]) -> RenderReport:
    progress = number(document.get("progress"))
    url = text(document.get("url"))
    error = document.get("error")
    said = text(document.get("type"), limit=_WORD) or text(document.get("status"), limit=_WORD)
    reasons = (document.get("message"), error, member(error, "message"))
    message = next((found for reason in reasons if (found := text(reason, limit=_MESSAGE))), None)
    return RenderReport(
        phase=phase,
        progress=None if progress is None else min(max(progress, 0.0), 1.0),
        queue_position=whole(document.get("queuePosition")),
        url=url if url is not None and _URL.fullmatch(url) else None,
        size=whole(document.get("size")),
        message=message if phase is RenderPhase.FAILED else None,
        said=said or text(document.get("code"), limit=_WORD),
    )
