from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.routes import Answer, Content, Route, Schema, count, json_content, record, ref
from workers.work import LANES

_TAG: Final = "Service"
_AGE: Final[Schema] = {"type": ["number", "null"], "description": "Seconds; null if it never did."}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Alive": record({"alive": {"const": True}}),
    "Ready": record(
        {
            "ready": {"const": True},
            "redis": {"type": "boolean", "description": "Redis takes writes; if not, callbacks go to the spool."},
            "clock": {
                "anyOf": [record(dict.fromkeys(LANES, _AGE)), {"type": "null"}],
                "description": "How long ago the clock looked after each lane; null without Redis.",
            },
            "spool": {
                "anyOf": [record({"count": count(), "bytes": count()}), {"type": "null"}],
                "description": "What waits on this machine for Redis; null if the disk does not tell.",
            },
            "storage": {
                "anyOf": [record({"free_bytes": count(), "paused": {"type": "boolean"}}), {"type": "null"}],
                "description": "The room for files on this machine, and whether downloads wait for more; null if the "
                "disk does not tell.",
            },
        }
    ),
}
ROUTES: Final = (
    Route(
        "GET",
        "/healthz",
        id="isAlive",
        tag=_TAG,
        summary="This process answers",
        answers={200: Answer("It does.", json_content(ref("Alive"), {"alive": True}))},
        problems=("internal",),
        public=True,
    ),
    Route(
        "GET",
        "/readyz",
        id="isReady",
        tag=_TAG,
        summary="A callback could be stored now, in Redis or in the spool",
        text="Without a clock or workers callbacks are stored all the same, so these do not make it unready.",
        answers={200: Answer("It could.", json_content(ref("Ready"), samples.READY))},
        problems=("spool-unavailable", "internal"),
        public=True,
    ),
    Route(
        "GET",
        "/metrics",
        id="getMetrics",
        tag=_TAG,
        summary="Numbers for Prometheus",
        text="Callbacks, jobs by state, what is due and how late, how long steps and requests took, budget, clock and "
        "spool, in Prometheus' text format, or as OpenMetrics for who asks for that. While Redis is away, what this "
        "machine knows by itself. On METRICS_PORT no token is wanted.",
        answers={
            200: Answer(
                "The numbers.",
                {
                    "text/plain": Content({"type": "string"}, 'swiftia_receiver_jobs{state="parked"} 0.0'),
                    "application/openmetrics-text": Content({"type": "string"}),
                },
            )
        },
    ),
)
