from collections.abc import Mapping
from typing import Final

from receiver.description.routes import Answer, Parameter, Route, Schema, choice, count, json_content, record, ref

_TAG: Final = "Remedies"
_RETRIED: Final = count("What was set going: the job, or each of its renders.")

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Retried": record({"retried": _RETRIED}),
    "RetriedMany": record(
        {
            "jobs": count("How many jobs were set going."),
            "retried": _RETRIED,
            "more": {"type": "boolean", "description": "There were too many for one call: call again."},
        }
    ),
}
ROUTES: Final = (
    Route(
        "POST",
        "/api/jobs/{name}/retry",
        id="retryJob",
        tag=_TAG,
        summary="Set a parked or failed job, or its renders, going again",
        text="A render that may have been started once already is started again: it may be paid for twice.",
        answers={202: Answer("It goes on.", json_content(ref("Retried"), {"retried": 1}))},
        problems=("not-found", "conflict"),
    ),
    Route(
        "POST",
        "/api/jobs/retry",
        id="retryJobs",
        tag=_TAG,
        summary="The same for all that are parked, or failed",
        query=(
            Parameter(
                "state", choice(["parked", "failed"]), "Which ones are set going.", required=True, example="parked"
            ),
        ),
        answers={
            202: Answer("They go on.", json_content(ref("RetriedMany"), {"jobs": 3, "retried": 5, "more": False}))
        },
    ),
    Route(
        "DELETE",
        "/api/jobs/{name}",
        id="eraseJob",
        tag=_TAG,
        summary="Erase every trace of a job here",
        text="Record, callbacks, result and videos; nothing of it comes back, and a later callback for it is ignored. "
        "Nothing changes at Swiftia. Doing it again is no error.",
        answers={204: Answer("There is no trace of it.")},
        problems=("not-found", "store-unavailable"),
    ),
)
