from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.routes import Answer, Content, Parameter, Route, Schema, choice, record, ref, said, texts
from workers.frames import ID_PATTERN

_TAG: Final = "Jobs"
_ID: Final[Schema] = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
_LAST: Final = (
    Parameter(
        "Last-Event-ID",
        {**_ID, "pattern": f"^({ID_PATTERN})?$"},
        "The id of the last event that was heard: goes on right behind it, nothing left out and nothing told twice.",
        example="1795532444849-0",
    ),
)
_LAST_IN_QUERY: Final = Parameter("last_event_id", _ID, "The same for who cannot set a header.")
_CALM: Final = Parameter(
    "calm",
    {"type": "boolean", "default": False},
    "For who only wants to know that something happens: told once in a second at most, and of each subject the last "
    "change alone; where many have changed, of the last 25.",
)
_FRAMES: Final = {"text/event-stream": Content(ref("StreamEvent"), samples.EVENT)}
_KINDS: Final = (
    "`change` tells of one change: `id`, `ref`, `render`, `event`, `state`, `progress`, `at`. `reset`: changes were "
    "missed, ask for what you want to know. Lines that begin with a colon keep the connection alive."
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "StreamEvent": record(
        {
            "id": said(_ID, "Where to go on with `Last-Event-ID`."),
            "event": choice(["change", "job", "reset", "end"]),
            "data": texts("JSON."),
        },
        optional=("id", "event", "data"),
        description="One event of the stream, by its fields.",
    )
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/jobs/{name}/events",
        id="followJob",
        tag=_TAG,
        summary="What happens to a job, as Server-Sent Events",
        text="Begins with `job`, how it stands now, unless it resumes. Ends with `end` when the job has ended; who "
        "resumes behind that gets 204, which stops an EventSource. " + _KINDS,
        query=(_LAST_IN_QUERY,),
        headers=_LAST,
        answers={200: Answer("The events.", _FRAMES), 204: Answer("There is no more to come.")},
        problems=("not-found", "crowded", "no-streams"),
    ),
    Route(
        "GET",
        "/api/events",
        id="followAll",
        tag=_TAG,
        summary="What happens to all jobs, as Server-Sent Events",
        text=_KINDS,
        query=(_LAST_IN_QUERY, _CALM),
        headers=_LAST,
        answers={200: Answer("The events.", _FRAMES)},
        problems=("crowded", "no-streams"),
    ),
)
