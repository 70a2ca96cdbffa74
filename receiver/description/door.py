from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.routes import Answer, Body, Route, Schema, choice, json_content, record, ref, texts

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Accepted": record(
        {
            "receipt": texts("Under it the callback is listed with its job.", pattern="^[0-9a-f]{32}$"),
            "outcome": choice(
                ["new", "duplicate", "full", "erased", "spooled"],
                "`new`: kept. `duplicate`: its body had come before. `full`: so many have come that this one is not "
                "kept, but its job is looked at. `erased`: its job was erased here, so it is ignored. `spooled`: kept "
                "on this machine until Redis is back.",
            ),
        }
    ),
}
ROUTES: Final = (
    Route(
        "POST",
        "/webhooks/swiftia/{token}",
        id="receiveCallback",
        tag="The door",
        summary="Where Swiftia says that a job is done; the URL comes with the job",
        text="The body is a hint and may be anything, or nothing: what became of the job is asked of Swiftia. Only the "
        "shared URL needs the job's id in a JSON body, under `id`, `jobId` or `job_id`, there or inside `job`, `data` "
        "or `payload`.\n\n"
        "202 says that the callback is on a disk. Anything else says that it is not: send it again. The query is not "
        "looked at, a slash at the end is welcome, and there are no redirects. With `WEBHOOK_SIGNING_SECRETS` a "
        "Standard Webhooks signature is demanded.",
        body=Body(
            {},
            {"With the job's id": {"id": "job_7Qa1", "status": "COMPLETED"}},
            required=False,
            types=("application/json", "application/octet-stream"),
        ),
        answers={
            202: Answer("It is stored.", json_content(ref("Accepted"), {"receipt": samples.RECEIPT, "outcome": "new"}))
        },
        problems=(
            "invalid-input",
            "unauthorized",
            "too-large",
            "unidentifiable",
            "ledger-unavailable",
            "spool-unavailable",
            "internal",
        ),
        public=True,
    ),
)
