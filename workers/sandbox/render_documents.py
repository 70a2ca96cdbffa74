"""What the API says about a render, in the dialect of its job."""

from typing import Any

from workers.sandbox.renders import Render

_BROKEN = "encoder stopped"
_CODE = "RENDERING_ERROR"


def document(render: Render, now: float) -> tuple[int, dict[str, Any]]:
    """Answer GET /api/render/{id}: HTTP status and body."""
    match render.phase(now):
        case "queued":
            return 200, _queued(render, now)
        case "running":
            return 200, _running(render, now)
        case "done":
            return 200, _done(render)
        case _:
            return _failed(render)


def _queued(render: Render, now: float) -> dict[str, Any]:
    """Only the newest docs know a queue [REN3]; before, a waiting render is one without progress."""
    if render.dialect in {"g3", "kb"}:
        return {"type": "queued", "status": "QUEUED", "queuePosition": render.position(now), "progress": 0}
    return _running(render, now)


def _running(render: Render, now: float) -> dict[str, Any]:
    status = {"status": "PROCESSING"} if render.dialect == "third" else {}
    return {"type": "progress", **status, "progress": render.progress(now)}


def _done(render: Render) -> dict[str, Any]:
    if render.dialect == "third":
        return {"status": "COMPLETED", "url": render.url}
    return {"type": "done", "url": render.url, "size": render.size}


def _failed(render: Render) -> tuple[int, dict[str, Any]]:
    """The older example has no ``type`` [REN1]; whether it came with HTTP 500 is not said, so both occur."""
    number = {"status": 500, "message": _BROKEN, "code": _CODE}
    match render.dialect:
        case "g1" | "g2":
            return (500 if render.number % 2 else 200), number
        case "common":
            return 200, {"type": "failed", **number}
        case "third":
            return 200, {"status": "FAILED"}
        case _:
            return 200, {"type": "error", "message": _BROKEN}
