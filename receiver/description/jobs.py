from typing import Final

from receiver.description import job_shapes, samples
from receiver.description.parameters import (
    ACCOUNT,
    ETAG,
    IDEMPOTENCY_KEY,
    IF_NONE_MATCH,
    JOB_ID,
    MOMENT,
    PREFER,
    REF,
    TAGGED,
)
from receiver.description.routes import Answer, Body, Parameter, Route, choice, json_content, ref
from workers.filters import LONGEST_SEARCH
from workers.listing import MAX_PAGE, MOST_LOOKED_AT
from workers.states import JobState

SCHEMAS: Final = job_shapes.SCHEMAS
_TAG: Final = "Jobs"
_BODY: Final = ("too-large", "unsupported-media-type")
_LOCATION: Final = {"Location": "Where the job is shown."}
# What Swiftia, or the way to it, can have against a submission.
_SWIFTIAS: Final = (
    "swiftia-bad-request",
    "swiftia-not-found",
    "storage-full",
    "phone-verification",
    "no-credit",
    "swiftia-forbidden",
    "swiftia-refused",
    "swiftia-rate-limit",
    "swiftia-credentials",
    "swiftia-unavailable",
    "swiftia-unreadable",
    "swiftia-too-large",
    "swiftia-unreachable",
    "submission-unsure",
)

ROUTES: Final = (
    Route(
        "POST",
        "/api/jobs",
        id="submitJob",
        tag=_TAG,
        summary="Submit a job",
        text="The body is Swiftia's own, with `metadata`, `render` and `account` of ours beside it. The service makes "
        "a callback URL, submits the job with it, and does the rest.\n\n"
        "Unless you `Prefer: respond-async`, it waits for its turn in the request budget (`SUBMIT_PATIENCE`), and then "
        "for Swiftia. A refusal changes nothing, and the same `Idempotency-Key` may be used again. "
        "If the answer is lost the problem is `submission-unsure`, with the `ref` to look under.\n\n"
        "What is certainly wrong is refused before it is paid for. What is only unknown here is passed on to "
        "Swiftia as it is, and told in `notes`.",
        query=(
            Parameter(
                "dry_run",
                {"type": "string", "enum": ["true", "false"], "default": "false"},
                "`true`: check everything and answer what would be sent; send and store nothing.",
            ),
        ),
        headers=(IDEMPOTENCY_KEY, PREFER),
        body=Body(ref("Order"), samples.ORDERS),
        answers={
            200: Answer(
                "It was only looked over: `dry_run` was asked for, or `SUBMIT_DRY_RUN` is set.",
                json_content(ref("DryRun"), samples.DRY_RUN),
            ),
            201: Answer(
                "Swiftia has taken it.",
                json_content({"anyOf": [ref("Job"), ref("Submitted")]}, samples.JOB),
                {**_LOCATION, "Idempotency-Replayed": "`true`: the key was seen before, nothing was submitted now."},
            ),
            202: Answer(
                "It will be submitted; as long as `id` is null, follow it by its `ref`.",
                json_content({"anyOf": [ref("Job"), ref("Submitted")]}),
                {
                    **_LOCATION,
                    "Preference-Applied": "`respond-async`, where it was asked for.",
                    "Idempotency-Replayed": "`true`: the key was seen before, nothing was submitted now.",
                },
            ),
        },
        problems=(*_BODY, "busy", "idempotency-key-reused", *_SWIFTIAS),
    ),
    Route(
        "GET",
        "/api/jobs",
        id="listJobs",
        tag=_TAG,
        summary="List or search jobs, newest first",
        text="Filters narrow each other. `state`, `since`, `until` and `ref` are found by index, and so is an id or a "
        "ref in `q`. For anything else in `q`, `function`, `account` and `metadata` the jobs are walked through, "
        f"{MOST_LOOKED_AT} for one page at most, and fewer where that takes longer than a blink: such a page may be "
        "short or empty and still have a `next`. Then `looked_back_to` says how far it has looked; go on until `next` "
        "is null.\n\n"
        "A job that is added or leaves while you page shifts nothing and shows no job twice.",
        query=(
            Parameter(
                "q",
                {"type": "string", "minLength": 1, "maxLength": LONGEST_SEARCH, "pattern": r"\S"},
                "What to look for: a job's id or its ref, `key=value` of its metadata, else words of its title, in any "
                "order and case, whole or in part.",
                example="strong claim",
            ),
            Parameter("state", choice(JobState), "Only jobs in this state."),
            Parameter("since", MOMENT, "Known here at this moment or later: ISO 8601 or Unix milliseconds."),
            Parameter("until", MOMENT, "Known here before this moment.", example="2026-05-01T12:00:00Z"),
            Parameter("ref", REF, "Only the job, or the submission, of this ref."),
            Parameter(
                "function", {"type": "string", "minLength": 1}, "Only of this `functionName`.", example="VideoShorts"
            ),
            Parameter("account", ACCOUNT, "Only jobs that name this account."),
            Parameter(
                "metadata",
                {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
                "`metadata.<key>=<value>`: only jobs whose metadata has this member at its top with this value. Text "
                "is compared as it is; numbers, `true`, `false` and `null` as JSON writes them.",
                example={"metadata.customer": "7"},
                family="metadata.",
            ),
            Parameter(
                "cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]{3,210}$"}, "The `next` of the page before."
            ),
            Parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
                "How many jobs a page has at most.",
            ),
        ),
        headers=(IF_NONE_MATCH,),
        answers={
            200: Answer("One page.", json_content(ref("JobPage"), samples.PAGE), TAGGED),
            304: Answer("The page is what you have.", headers=ETAG),
        },
    ),
    Route(
        "GET",
        "/api/jobs/{name}",
        id="showJob",
        tag=_TAG,
        summary="Show a job",
        text="All that is known of it: state, progress, shorts, renders, callbacks and what happened. To follow a job, "
        "ask again with `If-None-Match`: as long as nothing has changed the answer is a 304.",
        headers=(IF_NONE_MATCH,),
        answers={
            200: Answer("The job.", json_content(ref("Job"), samples.JOB), TAGGED),
            304: Answer("Nothing has changed.", headers=ETAG),
        },
        problems=("not-found", "store-unavailable"),
    ),
    Route(
        "PUT",
        "/api/jobs/{name}",
        id="watchJob",
        tag=_TAG,
        summary="Take care of a job that was submitted elsewhere",
        text="From then on it is asked about, rendered and kept like any other. `ref` joins it with the callback URL "
        "that it was submitted with, and that URL's `metadata` and `render`. Doing it again changes nothing.",
        body=Body(ref("WatchOrder"), {"Nothing to add": {}}, required=False),
        at={"name": JOB_ID},
        answers={
            200: Answer("It was known already.", json_content(ref("Job"), samples.JOB), _LOCATION),
            201: Answer("It is known from now on.", json_content(ref("Job")), _LOCATION),
        },
        problems=(*_BODY, "not-found", "conflict", "store-unavailable"),
    ),
    Route(
        "POST",
        "/api/callbacks",
        id="createCallbackUrl",
        tag=_TAG,
        summary="Get a callback URL for a job that you submit yourself",
        text="Send it to Swiftia as `webhook`. The first callback, or `PUT /api/jobs/<id>` with the `ref`, says which "
        "job it is.",
        body=Body(
            ref("CallbackOrder"),
            {"For one job": {"metadata": {"customer": 7}}, "For all jobs": {"shared": True}},
            required=False,
        ),
        answers={
            200: Answer("The shared URL. It is the same each time.", json_content(ref("CallbackUrl"))),
            201: Answer(
                "A fresh URL.",
                json_content(
                    ref("CallbackUrl"),
                    {
                        "ref": "3f9cT0bq7yZk1mWcP5sVxA",
                        "url": "https://hooks.example.org/webhooks/swiftia/3f9cT0bq7yZk1mWcP5sVxA.VmAd1q0z0l1c",
                    },
                ),
                _LOCATION,
            ),
        },
        problems=_BODY,
    ),
)
