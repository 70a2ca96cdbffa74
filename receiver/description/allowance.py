from collections.abc import Mapping
from typing import Final

from receiver.description import samples
from receiver.description.parameters import ACCOUNT
from receiver.description.routes import (
    Answer,
    Parameter,
    Route,
    Schema,
    choice,
    count,
    json_content,
    number,
    record,
    ref,
)
from workers.standing import CAUSES
from workers.work import CLASSES, UPSTREAM

_MEMBERS: Final[Mapping[str, Schema]] = {
    "limit": count("So many requests may leave in any `window`."),
    "configured": count("The limit that was set; Swiftia may have stated another one."),
    "window": number("Seconds."),
    "free": count("So many may leave now."),
    "used": count("So many count in the window now."),
    "margin": number("Seconds that a request counts longer than the window."),
    "waiting": record({name: count() for name in CLASSES[UPSTREAM]}, description="Who waits for a slot, by class."),
    "pause": number("None leaves for so many seconds."),
    "pause_reason": choice(
        ["", "limit", "breaker", "credentials"],
        "`limit`: Swiftia answered 429. `breaker`: its answers fail. `credentials`: it refuses the key.",
    ),
    "breaker": choice(["closed", "open", "half-open"]),
    "credentials_ok": {"type": "boolean"},
    "refused": record({cause: count() for cause in CAUSES}, description="Answers 429 so far, by cause."),
}
_EACH: Final[Schema] = {
    "type": "object",
    "additionalProperties": ref("Allowance"),
    "description": "The same of each account, by name; there only where there are several.",
}
SCHEMAS: Final[Mapping[str, Schema]] = {
    "Allowance": record(_MEMBERS),
    "Budget": record({**_MEMBERS, "accounts": _EACH}, optional=("accounts",)),
}
ROUTES: Final = (
    Route(
        "GET",
        "/api/budget",
        id="getBudget",
        tag="Budget",
        summary="How many requests to Swiftia may leave now, and what keeps them",
        text="Where there are several accounts this is the one of jobs that name none, or else the first, and "
        "`accounts` has the same of each.",
        query=(Parameter("account", ACCOUNT, "Only that of this account."),),
        answers={200: Answer("The budget.", json_content(ref("Budget"), samples.BUDGET))},
    ),
)
