"""What each problem means and what to do about it, as its page under ``/problems`` tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """``example``: a ``detail`` as it may come, with ``values`` beside it."""

    means: str
    remedy: str
    example: str
    values: Mapping[str, object] | None = None


_AGAIN: Final = "Wait as long as `Retry-After` says and send the same request again."
_AGAIN_LATER: Final = "Send the same request again later. If it stays, look at the log of the service."

EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    "invalid-input": Explanation(
        "Something in the path, the query, a header or the body is not what it has to be. Nothing was changed.",
        "`detail` names what it is and how it has to look; mend that. The same request will be refused again.",
        "limit is a number from 1 to 100",
        {"got": "1000"},
    ),
    "bad-request": Explanation(
        "The request is malformed as HTTP, so that nobody could tell what it asks for.",
        "Look at what your client, or a proxy on the way, makes of the request.",
        "the request cannot be read",
    ),
    "unauthorized": Explanation(
        "Under `/api` and for `/metrics`: the admin token is missing or is not that of this service. At the door: the "
        "URL was not given out by this service, its callback key is gone, or a signature is missing or wrong.",
        "Send `Authorization: Bearer <ADMIN_TOKEN>`; without a setting the token stands in `DATA_DIR/admin-token`. For "
        "the door, put the key that the URL was made with back into `CALLBACK_KEYS`.",
        "send the header Authorization: Bearer <ADMIN_TOKEN>",
    ),
    "read-only": Explanation(
        "The token is the `VIEWER_TOKEN`, with which one may look and change nothing. Nothing was changed.",
        "Use the `ADMIN_TOKEN` for what changes something; in the console, sign out and in again with it.",
        "the VIEWER_TOKEN is for GET alone; send the ADMIN_TOKEN",
    ),
    "form-refused": Explanation(
        "A form of the console was sent by a page of another site, or by one of a session that is over.",
        "Open the page in the console again, and send its form from there. If a proxy stands in front, have it pass on "
        "the header `Host` as it came.",
        "this form belongs to another session; open its page again and send it from there",
    ),
    "too-many-tries": Explanation(
        "From this address, or from everywhere together, there were too many tries to sign in to the console. The API "
        "is not concerned.",
        "Wait as long as `Retry-After` says. Without a setting the token stands in `DATA_DIR/admin-token`.",
        "there were too many tries to sign in; try again in 5 minutes",
    ),
    "not-found": Explanation(
        "There is no such route, or no job, render, callback or file under that name. A result or a video is not there "
        "before it is kept.",
        "Check the name. If `detail` says that something is not kept yet, ask again later.",
        "no job is known here by that id or ref; PUT /api/jobs/<id> makes one known",
    ),
    "method-not-allowed": Explanation(
        "The route is there, and does not take this method.",
        "Use one of those in the header `Allow`.",
        "this route does not take that method; the header Allow lists those it takes",
    ),
    "conflict": Explanation(
        "What is asked for does not go with the state of the job, or the ref or job belongs to another job or account.",
        "Look at the job first. A job that is under way needs no retry.",
        "the job is fetching and nothing of it is parked or failed to be retried",
    ),
    "too-large": Explanation(
        "The body is larger than is taken: 1 MiB for the API, `MAX_CALLBACK_BYTES` at the door.",
        "Send less. For callbacks, raise `MAX_CALLBACK_BYTES`.",
        "the body is larger than the 1048576 bytes that are taken here",
        {"limit": 1_048_576},
    ),
    "uri-too-long": Explanation(
        "The first line of the request, method and address, is longer than is taken.",
        "Ask with fewer filters at a time; a cursor or a token of this service is never so long.",
        "the first line of a request has 2048 bytes at most",
    ),
    "headers-too-large": Explanation(
        "The request has more headers than are taken, or longer ones.",
        "Leave out those that are not needed, such as cookies of other sites.",
        "50 headers are taken, of 4096 bytes each",
    ),
    "unsupported-media-type": Explanation(
        "The body says of itself, by `Content-Type`, that it is no JSON.",
        "Send `Content-Type: application/json`. (curl says something else with `-d` unless it is told.)",
        "send the body as JSON, with the header Content-Type: application/json",
        {"got": "application/x-www-form-urlencoded"},
    ),
    "range-not-satisfiable": Explanation(
        "The range begins behind the end of the file.",
        "The header `Content-Range` has the file's size.",
        "the range lies outside the file, which has 9211004 bytes",
    ),
    "idempotency-key-reused": Explanation(
        "The `Idempotency-Key` was used within the last day for another submission, or for one with another body.",
        "Use a fresh key for each submission, and the same body whenever you repeat one.",
        "this Idempotency-Key was used for another submission; make a fresh one",
    ),
    "unidentifiable": Explanation(
        "A callback to the shared URL names no job. Its body is kept, so that a person can look at it.",
        "Let the body be JSON with the job's id under `id`, `jobId` or `job_id`, or use a callback URL for each job.",
        "the shared callback URL needs the job's id in a JSON body, under id, jobId or job_id; "
        "the body is kept for the operator",
        {"receipt": "019b0c7e5a10d3b1f0a94c5e7f2281aa"},
    ),
    "busy": Explanation(
        "The requests that Swiftia allows are spent for now, and nothing was submitted.",
        "Send it again after `Retry-After`, or with `Prefer: respond-async`: then it is queued.",
        "the request budget is spent for now; try again later, or send Prefer: respond-async",
    ),
    "crowded": Explanation(
        "As many read files of this process, or listen to its events, as it lets in.",
        f"{_AGAIN} An EventSource does so by itself. Or ask for the job now and then instead.",
        "400 listen already; come back later",
    ),
    "no-streams": Explanation(
        "The server that this service was started with cannot leave an answer open without giving it a thread.",
        "Start it with `swiftia-receiver web`, or ask for the job now and then instead.",
        "run it with gunicorn's gthread and without TLS of its own",
    ),
    "swiftia-rate-limit": Explanation(
        "Swiftia itself says that its rate limit is reached, and took nothing.",
        f"{_AGAIN} If it happens often, other programs use the same key: lower `SWIFTIA_RATE_LIMIT` by their part.",
        "submitting a job: Swiftia's rate limit is used up; wait 1 s",
    ),
    "swiftia-bad-request": Explanation(
        "Swiftia took the request for wrong. Nothing was submitted.",
        "`detail` has Swiftia's own words; mend what they name.",
        "submitting a job: Swiftia refuses the request with status 400; change the request, or the same will be "
        "answered again. Swiftia says: start must be smaller than end",
    ),
    "swiftia-not-found": Explanation(
        "Swiftia does not know what the request names.",
        "Check the ids, and whether the key belongs to the organization that has them.",
        "submitting a job: Swiftia does not know it",
    ),
    "swiftia-refused": Explanation(
        "Swiftia refuses the request with a status that its documents do not explain.",
        "`detail` has what Swiftia says; the same request will be refused again.",
        "submitting a job: Swiftia refuses the request with status 451",
    ),
    "swiftia-forbidden": Explanation(
        "Swiftia forbids it to this key or plan.",
        "Check the key's rights and the plan at Swiftia.",
        "submitting a job: Swiftia forbids this; check the key's rights and the plan",
    ),
    "storage-full": Explanation(
        "The organization's storage at Swiftia is full, and a job needs room there.",
        "Delete files at Swiftia or take a larger plan. `used`, `total` and `available` are in MB.",
        "submitting a job: Swiftia's storage is full; delete files there",
        {"used": 96, "total": 100, "available": 4},
    ),
    "phone-verification": Explanation(
        "Swiftia wants the phone number of the account verified before it takes jobs.",
        "A person has to do that in Swiftia's account settings.",
        "submitting a job: Swiftia wants the account's phone number verified; verify it in its account settings",
    ),
    "no-credit": Explanation(
        "The organization has too little credit at Swiftia.", "Buy some there.", "submitting a job: too little credit"
    ),
    "swiftia-credentials": Explanation(
        "Swiftia refuses the API key of this service. Nothing is lost: what waits goes on when a key works again.",
        "Whoever runs the service has to mend `SWIFTIA_API_KEY`, or the account's key.",
        "submitting a job: Swiftia refuses the API key",
    ),
    "swiftia-unavailable": Explanation(
        "Swiftia answered with an error of its own, or not in time.",
        _AGAIN_LATER,
        "submitting a job: Swiftia answered with status 503; try again later",
    ),
    "swiftia-unreachable": Explanation(
        "Swiftia could not be reached. The request has not left this service, so nothing was submitted.",
        f"{_AGAIN} It is safe.",
        "submitting a job: Swiftia cannot be reached",
    ),
    "swiftia-unreadable": Explanation(
        "Swiftia answered with something that this service cannot read.",
        "Look at Swiftia whether the job is there; its format may have changed.",
        "Swiftia's answer is no JSON",
    ),
    "swiftia-too-large": Explanation(
        "An answer of Swiftia, or something kept, is larger than is allowed.",
        "Raise `MAX_RESULT_BYTES` or `MAX_VIDEO_BYTES`.",
        "the answer is larger than 67108864 bytes",
    ),
    "submission-unsure": Explanation(
        "The answer to a submission was lost: the job may exist at Swiftia, and be paid for, or not.",
        "Do not send it again at once. `ref` leads to it, `GET /api/jobs/<ref>`: as soon as Swiftia calls, the job is "
        "found. With the same `Idempotency-Key` nothing is submitted twice.",
        "Swiftia did not answer in time. If it did, the job appears under this ref: look there before sending it "
        "again, which may pay twice",
        {"ref": "3f9cT0bq7yZk1mWcP5sVxA"},
    ),
    "download-failed": Explanation(
        "A file's server failed, or sent other bytes than it announced.", _AGAIN_LATER, "the file ended early"
    ),
    "target-refused": Explanation(
        "An address must not be connected to: it is not public, and not in `TRUSTED_NETWORKS`.",
        "If it is yours, name its network there.",
        "10.0.0.1 is no public address",
    ),
    "ledger-unavailable": Explanation(
        "The store behind this service, Redis, does not answer. The door goes on: callbacks go to a spool on the disk.",
        _AGAIN,
        "the store behind this service does not answer",
    ),
    "spool-unavailable": Explanation(
        "Neither Redis nor the spool took the callback. It is not stored.",
        f"{_AGAIN} Whoever runs the service has to look at Redis, and at the disk of `DATA_DIR`.",
        "neither the store nor the spool takes anything",
    ),
    "store-unavailable": Explanation(
        "The store of results and videos, `STORAGE_URL`, cannot be used.",
        _AGAIN,
        "the file store behind this service cannot be used",
    ),
    "unavailable": Explanation(
        "Not possible just now, such as when too many files are being read at once.",
        _AGAIN,
        "too many files are being read just now; try again soon",
    ),
    "internal": Explanation(
        "A fault of this service. What it was stands in its log, not here.",
        "Tell whoever runs the service when it happened, and what was asked.",
        "the log of the service tells more",
    ),
}
