"""What a caller of the API asked for, read from headers and body; anything else is ``InvalidInput``."""

import re
from dataclasses import dataclass
from typing import Final

from flask import Request

from receiver.bodies import read_object, size_of
from workers.errors import InvalidInput
from workers.identifiers import is_account
from workers.outbox import delivery_url

MAX_METADATA_BYTES: Final = 16 << 10
_KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_OWN: Final = ("metadata", "render", "account", "delivery")
_RESPOND_ASYNC: Final = "respond-async"


@dataclass(frozen=True, slots=True)
class Order:
    """``request``: Swiftia's own part of the body. What else there is is ours.

    ``delivery``: where this job is told of, empty for nowhere, None for where its account's jobs are.
    """

    request: dict[str, object]
    metadata: object
    render: object
    account: str | None
    delivery: str | None


def read_order(request: Request) -> Order:
    return order_of(read_object(request))


def order_of(body: dict[str, object]) -> Order:
    """Part a body of POST /api/jobs into Swiftia's and ours. Raise ``InvalidInput``."""
    if "webhook" in body:
        raise InvalidInput(
            "webhook is set by this service, so that it hears of the job: leave it out, "
            "or ask POST /api/callbacks for a URL and submit the job yourself"
        )
    metadata, render = _own(body)
    request_body = {name: value for name, value in body.items() if name not in _OWN}
    return Order(request_body, metadata, render, _account(body), _delivery(body))


@dataclass(frozen=True, slots=True)
class CallbackOrder:
    """``shared``: whether the one URL for all jobs is asked for. ``delivery``: as in ``Order``."""

    metadata: object
    render: object
    account: str | None
    delivery: str | None
    shared: bool


def read_callback_order(request: Request) -> CallbackOrder:
    body = read_object(request, optional=True)
    _only(body, *_OWN, "shared")
    shared = body.get("shared", False)
    if not isinstance(shared, bool):
        raise InvalidInput("shared is true or false")
    if shared and any(body.get(name) is not None for name in _OWN if name != "account"):
        raise InvalidInput("the shared URL serves many jobs, so it takes nothing but account")
    return CallbackOrder(*_own(body), _account(body), _delivery(body), shared)


def read_watch(request: Request) -> tuple[str | None, str | None]:
    """Return the ref and the account of a job that was submitted elsewhere."""
    body = read_object(request, optional=True)
    _only(body, "ref", "account")
    ref = body.get("ref")
    if ref is not None and not isinstance(ref, str):
        raise InvalidInput("ref is the text that POST /api/callbacks answered under ref")
    return ref, _account(body)


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidInput("an Idempotency-Key is 1 to 255 printable ASCII characters")
    return key


def prefers_async(request: Request) -> bool:
    """Whether the caller would rather be answered before the job is submitted (RFC 7240)."""
    wishes = re.split("[,;]", ",".join(request.headers.getlist("Prefer")).lower())
    return _RESPOND_ASYNC in (wish.strip() for wish in wishes)


def _own(body: dict[str, object]) -> tuple[object, object]:
    metadata, render = body.get("metadata"), body.get("render")
    if size_of(metadata) > MAX_METADATA_BYTES:
        raise InvalidInput(
            f"metadata is larger than {MAX_METADATA_BYTES} bytes; keep an id there, and the rest at home"
        )
    if render is not None and not isinstance(render, (bool, dict)):
        raise InvalidInput("render is true, false, or an object of render options")
    return metadata, render


def _account(body: dict[str, object]) -> str | None:
    account = body.get("account")
    if account is not None and not is_account(account):
        raise InvalidInput("account is the name of one in SWIFTIA_ACCOUNTS: 1 to 32 of a-z, 0-9, '-' and '_'")
    return account if isinstance(account, str) else None


def _delivery(body: dict[str, object]) -> str | None:
    wanted = body.get("delivery")
    if wanted is None:
        return None
    if wanted is False:
        return ""
    if not isinstance(wanted, str):
        raise InvalidInput("delivery is the http(s) address to which this job's events go, or false for none")
    return delivery_url(wanted)


def _only(body: dict[str, object], *known: str) -> None:
    strange = sorted(set(body) - set(known))
    if strange:
        raise InvalidInput(f"{', '.join(strange)[:200]} is not known here; the members are {', '.join(known)}")
