from collections.abc import Mapping
from typing import Final

from receiver.description.routes import Answer, Route, Schema, count, json_content, listed, maybe, record, ref, texts
from workers.crew import MOST
from workers.work import LANES

_WHEN: Final = maybe("string", "ISO 8601, UTC.", format="date-time")
_TASK: Final[Schema] = {
    "anyOf": [
        record(
            {
                "step": texts(),
                "subject": texts("`<job id>`, `<job id>/<render>` or `ref:<ref>`."),
                "attempt": count(),
                "since": _WHEN,
            }
        ),
        {"type": "null"},
    ],
    "description": "What it has in hand.",
}
SCHEMAS: Final[Mapping[str, Schema]] = {
    "Worker": record(
        {"host": texts(), "pid": texts(), "lane": texts(), "since": _WHEN, "seen": _WHEN, "task": _TASK},
        description="A worker process. `seen`: when RQ last heard of it.",
    ),
    "Workers": record(
        {
            "count": count("How many there are."),
            "queued": record({lane: count() for lane in LANES}, description="Nudges that wait, by lane."),
            "workers": listed(ref("Worker"), f"{MOST} of them at most."),
        }
    ),
}
_SAMPLE: Final = {
    "count": 1,
    "queued": {"upstream": 0, "files": 0},
    "workers": [
        {
            "host": "media-1",
            "pid": "4711",
            "lane": "upstream",
            "since": "2026-05-01T11:58:00.000Z",
            "seen": "2026-05-01T12:00:00.000Z",
            "task": {"step": "watch", "subject": "job_7Qa1/1", "attempt": 3, "since": "2026-05-01T12:00:00.000Z"},
        }
    ],
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/workers",
        id="listWorkers",
        tag="Service",
        summary="Who works, on what, and what waits for them",
        text="Worker processes as RQ notes them, on all machines. Couriers and clocks are not among them.",
        answers={200: Answer("The workers.", json_content(ref("Workers"), _SAMPLE))},
    ),
)
