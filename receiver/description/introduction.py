"""What holds for all routes, told once at the top."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Section:
    head: str
    text: str

    @property
    def anchor(self) -> str:
        return self.head.lower().replace(" ", "-")


TITLE: Final = "swiftia-receiver"
SUMMARY: Final = "Takes Swiftia's callbacks, fetches the results, starts and watches the renders, and keeps the files."
# In the order of the pages.
TOLD: Final = (
    Section(
        "Who may ask",
        "What stands under `/api`, and `/metrics`, wants the header `Authorization: Bearer <ADMIN_TOKEN>`. For `GET` "
        "the `VIEWER_TOKEN` is as good, and so is having signed in to the console with the same browser. The door is "
        "opened by the token in its URL. The rest is public and tells nothing of your jobs.",
    ),
    Section(
        "What goes in and out",
        "JSON in UTF-8: bodies of at most 1 MiB and 64 levels, sent as `application/json`, or without a "
        "`Content-Type`. Another one is refused with 415. The header `Accept` is not looked at: each route has one "
        "type of answer.\n\n"
        "Times are ISO 8601 in UTC, durations are seconds, `progress` goes from 0.0 to 1.0. Answers may gain members: "
        "ignore those that you do not know.",
    ),
    Section(
        "Queries",
        "A parameter that a route does not have, one given twice and one without a value are refused with 400: a "
        "typing error must not list, or retry, something else than was meant. Public routes do not look at theirs.",
    ),
    Section(
        "Asking again",
        "Answers with an `ETag` may be kept and asked about with `If-None-Match`; a 304 then says that nothing "
        "changed. `HEAD` works wherever `GET` does.",
    ),
    Section(
        "Problems",
        "Errors are `application/problem+json` (RFC 9457). `type` is a path on this service, `/problems/<slug>`, the "
        "same on every installation: compare it as it is, or open it to read what to do. `detail` names cause and fix, "
        "for people. A 4xx can be mended by whoever asks; a 5xx is a fault of this service or of Swiftia, and "
        "`Retry-After` says when to try again. A path that is not there is a 404 with the type `not-found`, a method "
        "that a path does not take a 405 with the header `Allow`.",
    ),
)
