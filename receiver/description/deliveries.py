from collections.abc import Mapping
from typing import Final

from receiver.description.parameters import MOMENT
from receiver.description.routes import (
    Answer,
    Parameter,
    Route,
    Schema,
    choice,
    count,
    json_content,
    maybe,
    record,
    ref,
    said,
    texts,
)
from workers.outbox import EVENTS
from workers.states import DeliveryState

_TAG: Final = "Deliveries"
_MOMENT: Final = maybe("string", "ISO 8601, UTC.", format="date-time")

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Delivery": record(
        {
            "n": count("Its number within the job, from 1.", minimum=1),
            "id": texts("The `webhook-id` that it is sent under, each time the same."),
            "event": choice(EVENTS),
            "state": choice(DeliveryState),
            "attempts": count("How often it was sent."),
            "created_at": _MOMENT,
            "next_at": said(_MOMENT, "When it is sent again; null if it is settled or was not tried yet."),
            "last_status": maybe("integer", "The HTTP status of the last answer; null if none came."),
            "reason": maybe("string", "Why the last try failed."),
        }
    ),
    "RedeliveredMany": record(
        {
            "retried": count("How many deliveries are sent again."),
            "more": {"type": "boolean", "description": "There were too many for one call: call again."},
        }
    ),
}
ROUTES: Final = (
    Route(
        "POST",
        "/api/jobs/{name}/deliveries/{n}/retry",
        id="retryDelivery",
        tag=_TAG,
        summary="Send one delivery again, also one that was delivered",
        answers={202: Answer("It goes out.", json_content(ref("Retried"), {"retried": 1}))},
        problems=("not-found", "conflict"),
    ),
    Route(
        "POST",
        "/api/deliveries/retry",
        id="retryDeliveries",
        tag=_TAG,
        summary="Send again what was parked since a moment",
        query=(
            Parameter(
                "state", choice(["parked"]), "What is not parked goes out by itself.", required=True, example="parked"
            ),
            Parameter("since", MOMENT, "Parked at this moment or later: ISO 8601 or Unix milliseconds."),
        ),
        answers={202: Answer("They go out.", json_content(ref("RedeliveredMany"), {"retried": 12, "more": False}))},
    ),
)
