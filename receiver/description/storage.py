from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.parameters import ACCOUNT
from receiver.description.routes import Answer, Parameter, Route, Schema, count, json_content, maybe, record, ref, said

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Storage": record(
        {
            "used_mb": maybe("number", minimum=0),
            "total_mb": maybe("number", minimum=0),
            "used_percent": maybe("number", minimum=0),
            "warning": said({"type": "boolean"}, "From `STORAGE_WARN_PERCENT` on. A full storage takes no more jobs."),
            "files": maybe("integer", "How many there are.", minimum=0),
            "fetched_at": maybe("string", "When it was seen.", format="date-time"),
            "age": count("Seconds since then."),
        },
        description="Null for what Swiftia did not say.",
    )
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/storage",
        id="getStorage",
        tag="Budget",
        summary="How full the storage at Swiftia is",
        text="As it was seen within the last five minutes, else as Swiftia says now, which takes a request of the "
        "budget: the least important one. Where none is free within some seconds it is what was "
        "seen last, with its `age`, or the problem `busy` where nothing was.",
        query=(Parameter("account", ACCOUNT, "Whose; it may be left out where that is clear."),),
        answers={200: Answer("The storage.", json_content(ref("Storage"), samples.STORAGE), {"Age": "As `age`."})},
        problems=(
            "busy",
            "swiftia-rate-limit",
            "swiftia-credentials",
            "swiftia-unavailable",
            "swiftia-unreachable",
            "swiftia-unreadable",
            "swiftia-too-large",
            "swiftia-bad-request",
            "swiftia-not-found",
            "swiftia-forbidden",
            "swiftia-refused",
        ),
    ),
)
