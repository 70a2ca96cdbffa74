from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.parameters import IF_NONE_MATCH, IF_RANGE, RANGE, TAGGED
from receiver.description.routes import Answer, Content, Parameter, Route, Schema

_TAG: Final = "Files"
_BYTES: Final[Schema] = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILE: Final = {**TAGGED, "Accept-Ranges": "`bytes`", "Content-Length": "Bytes."}
_PART: Final = {**_FILE, "Content-Range": "Which bytes of how many."}
_NEEDED: Final = ("not-found", "range-not-satisfiable", "store-unavailable", "crowded")

SCHEMAS: Final[Mapping[str, Schema]] = {}
ROUTES: Final = (
    Route(
        "GET",
        "/api/jobs/{name}/result",
        id="getResult",
        tag=_TAG,
        summary="The kept result, as Swiftia gave it",
        text="Byte for byte what Swiftia answered, in whichever of its dialects. `GET /api/jobs/<id>` has the shorts "
        "of all of them in one shape.",
        headers=(IF_NONE_MATCH, RANGE, IF_RANGE),
        answers={
            200: Answer("The result.", {"application/json": Content({}, samples.RESULT)}, _FILE),
            206: Answer("A part of it, which is no JSON by itself.", {"application/json": Content({})}, _PART),
            304: Answer("It is what you have."),
        },
        problems=_NEEDED,
    ),
    Route(
        "GET",
        "/api/jobs/{name}/renders/{n}/file",
        id="getVideo",
        tag=_TAG,
        summary="A kept video",
        text="Ranges are honoured, so players can seek and downloads can be resumed. The ETag is the file's "
        "SHA-256.\n\n"
        "Where files are kept in a bucket, `redirect=true` gets a link of its own, good for a few minutes and for one "
        "GET without the admin token: the bytes then come from the bucket, not through this service.",
        query=(
            Parameter(
                "redirect",
                {"type": "string", "enum": ["true", "false"], "default": "false"},
                "`true`: be sent to where the file lies, if it lies in a bucket.",
            ),
        ),
        headers=(IF_NONE_MATCH, RANGE, IF_RANGE),
        answers={
            200: Answer("The video.", {"video/mp4": Content(_BYTES)}, _FILE),
            206: Answer("A part of it.", {"video/mp4": Content(_BYTES)}, _PART),
            304: Answer("It is what you have."),
            307: Answer("It lies in a bucket, under this link.", headers={"Location": "Good for a few minutes."}),
        },
        problems=_NEEDED,
    ),
    Route(
        "GET",
        "/api/jobs/{name}/callbacks/{receipt}",
        id="getCallbackBody",
        tag=_TAG,
        summary="A callback's body as it was received",
        text="A stranger's bytes: they come as a download and are never shown.",
        headers=(IF_NONE_MATCH,),
        answers={
            200: Answer("The body.", {"application/octet-stream": Content(_BYTES)}, TAGGED),
            304: Answer("It is what you have."),
        },
        problems=("not-found", "store-unavailable", "swiftia-too-large"),
    ),
)
