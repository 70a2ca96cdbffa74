"""The shapes of jobs, as requests and answers have them."""

from collections.abc import Mapping
from typing import Any, Final

from receiver.description.parameters import ACCOUNT, REF
from receiver.description.routes import (
    Schema,
    choice,
    closed,
    count,
    listed,
    maybe,
    number,
    record,
    ref,
    said,
    texts,
)
from workers.rules import RenderRule
from workers.states import JobState, RenderState

_PROGRESS: Final = number("From 0.0 to 1.0, its renders included.", minimum=0, maximum=1)
_MOMENT: Final = maybe("string", "ISO 8601, UTC.", format="date-time")
# More is taken, such as IPv6; no user, no password and no fragment.
_ADDRESS: Final = "^https?://[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?(:[1-9][0-9]{1,3})?(/[A-Za-z0-9._~/-]*)?$"
_ANY: Final[Schema] = {"description": "Your own, as you gave it; null if you gave none."}

_FACTS: Final[Mapping[str, Schema]] = {
    "id": maybe("string", "Swiftia's id; null as long as it is not known."),
    "ref": maybe("string", "Ours, made before a job is submitted; null for a job that came without one."),
    "state": choice(JobState, "The last three are ends; `parked` waits for a person."),
    "reason": maybe("string", "Why it failed or is parked."),
    "function": maybe("string", "Swiftia's `functionName`."),
    "title": maybe("string"),
    "cost": maybe("number", "Swiftia's credits."),
    "progress": _PROGRESS,
    "upstream_status": maybe("string", "Swiftia's own word for the state."),
    "created_at": said(_MOMENT, "When it became known here: ISO 8601, UTC."),
    "updated_at": _MOMENT,
    "metadata": _ANY,
    "account": texts("Whose it is; there only where a job names an account."),
}
_COUNTS: Final = record(
    {
        "total": count(),
        "kept": count("Their videos are here, or done where videos are not kept."),
        "failed": count(),
        "parked": count(),
    }
)
_SHORT: Final = record(
    {
        "id": {"type": ["string", "integer"], "description": "With the JSON type that Swiftia gave it."},
        "title": maybe("string"),
        "text": maybe("string"),
        "start": maybe("number", "Seconds."),
        "end": maybe("number", "Seconds."),
    }
)
_RENDER: Final = record(
    {
        "n": count("Its number within the job, from 1.", minimum=1),
        "short": {"description": "`{id, title}` of the short that it renders."},
        "state": choice(RenderState),
        "progress": number("From 0.0 to 1.0.", minimum=0, maximum=1),
        "render_id": maybe("string", "Swiftia's id."),
        "size": maybe("integer", "Bytes."),
        "sha256": maybe("string", "Hexadecimal."),
        "file": maybe("string", "Where the video is served, once it is kept."),
        "url": maybe("string", "Where it is at Swiftia, as long as it is done and not kept here."),
        "reason": maybe("string", "Why it failed or is parked."),
    }
)
_CALLBACK: Final = record(
    {
        "receipt": texts(),
        "at": _MOMENT,
        "from": maybe("string", "The address it came from."),
        "size": maybe("integer", "Bytes."),
        "duplicate": {"type": "boolean", "description": "Its body had come before."},
    }
)
_EVENT: Final[Schema] = {
    **record({"at": _MOMENT, "event": texts("What happened, such as `callback` or `render.unsure`.")}),
    "description": "Other members tell more, by event.",
}
_JOB: Final = record(
    {
        **_FACTS,
        "shorts": listed(ref("Short"), "From the kept result; empty as long as there is none."),
        "renders": listed(ref("Render")),
        "render_counts": ref("RenderCounts"),
        "callbacks": listed(ref("Callback")),
        "deliveries": listed(ref("Delivery"), "What your application is told of it."),
        "timeline": listed(ref("Event"), "The last 200 things that happened, oldest first."),
        "notes": listed(
            texts(), "In the answer to a submission: what is not known here and was passed on all the same."
        ),
    },
    optional=("account", "notes"),
)


def render_options() -> dict[str, Any]:
    """The options of ``render``, as the rules read them. Its parts stand where they are used."""
    schema = RenderRule.model_json_schema()
    size = schema.pop("$defs")["Size"]
    schema["properties"]["size"] = {"anyOf": [size, {"type": "null"}], "description": "Pixels."}
    schema["properties"]["shorts"]["description"] = "`all`, `none`, how many from the first, or a list of ids."
    return schema


_GIVEN: Final[Schema] = {"type": ["string", "null"], "pattern": r"\S"}
_NOTES: Final = listed(texts(), "What is not known here and passed on to Swiftia all the same; only if there is any.")
_OWN: Final[Mapping[str, Schema]] = {
    "metadata": {"description": "Anything, up to 16 KiB as JSON; it comes back with the job and can be listed by."},
    "render": {
        "description": "`true`: by the rules of this service. `false`: no renders. Or options that count before these.",
        "anyOf": [{"type": ["boolean", "null"]}, ref("RenderOptions")],
    },
    "account": said({**ACCOUNT, "type": ["string", "null"]}, "Whose key is used, where the service has several."),
    "delivery": {
        "description": "Where this job's events go: an http(s) address of your application, or `false` for nowhere. "
        "Without it they go where those of its account go.",
        "anyOf": [{"type": "string", "maxLength": 2048, "pattern": _ADDRESS}, {"enum": [False, None]}],
    },
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Job": _JOB,
    "JobSummary": record({**_FACTS, "renders": ref("RenderCounts")}, optional=("account",)),
    "JobPage": record(
        {
            "jobs": listed(ref("JobSummary")),
            "next": maybe("string", "The `cursor` of the page that follows; null at the end."),
            "looked_back_to": maybe(
                "string",
                "When the last job that was looked at became known, where looking ended before the page was full.",
            ),
        }
    ),
    "Submitted": record(
        {"id": _FACTS["id"], "ref": texts(), "state": choice(JobState), "reason": _FACTS["reason"], "notes": _NOTES},
        optional=("notes",),
        description="All that is said of a job that cannot be looked at just now.",
    ),
    "DryRun": record(
        {
            "dry_run": {"const": True},
            "request": said({"type": "object"}, "What Swiftia would get, but for the secret in `webhook`."),
            "notes": listed(texts(), "What is not known here and would be passed on all the same."),
        }
    ),
    "Short": _SHORT,
    "Render": _RENDER,
    "RenderCounts": _COUNTS,
    "Callback": _CALLBACK,
    "Event": _EVENT,
    "RenderOptions": render_options(),
    "Order": {
        "type": "object",
        "properties": {
            "functionName": texts("What Swiftia is to do, such as `VideoShorts`.", minLength=1),
            "youtubeVideoId": said(_GIVEN, "A YouTube id or address."),
            "fileUrl": said(_GIVEN, "The address of a file, instead."),
            "options": said(
                {"type": ["object", "null"]},
                "Swiftia's own, such as `predefinedShorts`: a list of `{title, start, end}` in seconds, each at most "
                "300 s long.",
            ),
            **_OWN,
            "webhook": {"not": {}, "description": "Is set by this service, and must be left out."},
        },
        "required": ["functionName"],
        "description": "Swiftia's own body, whose members are passed on as they are, with ours beside them.",
    },
    "CallbackOrder": closed(
        {
            **_OWN,
            "shared": {
                "type": "boolean",
                "description": "The one URL for all jobs; it takes nothing but `account`.",
            },
        },
        anyOf=[
            {"properties": {"shared": {"const": False}}},
            {
                "properties": {
                    "shared": {"const": True},
                    **{name: {"type": "null"} for name in ("metadata", "render", "delivery")},
                }
            },
        ],
    ),
    "CallbackUrl": record(
        {
            "ref": maybe("string", "Under it the job is found before its id is known; null for the shared URL."),
            "url": texts("What to send to Swiftia as `webhook`. Whoever has it can call the door.", format="uri"),
        }
    ),
    "WatchOrder": closed(
        {
            "ref": said({**REF, "type": ["string", "null"]}, "That of the callback URL it was submitted with."),
            "account": _OWN["account"],
        }
    ),
}
