"""What a caller of the API asked for, read from headers, query and body; anything else is ``InvalidInput``."""

import re
from dataclasses import dataclass
from typing import Final

from flask import Request

from receiver.bodies import read_object, size_of
from workers.catalog import MAX_PAGE
from workers.errors import InvalidInput
from workers.states import JobState
from workers.views import as_state

MAX_METADATA_BYTES: Final = 16 << 10
_DEFAULT_PAGE: Final = 50
_KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)
_RESPOND_ASYNC: Final = "respond-async"


@dataclass(frozen=True, slots=True)
class Order:
    """``request``: Swiftia's own part of the body. ``metadata`` and ``render`` are ours."""

    request: dict[str, object]
    metadata: object
    render: object


def read_order(request: Request) -> Order:
    body = read_object(request)
    if "webhook" in body:
        raise InvalidInput(
            "webhook is set by this service, so that it hears of the job: leave it out, "
            "or ask POST /api/callbacks for a URL and submit the job yourself"
        )
    metadata, render = _own(body)
    return Order({name: value for name, value in body.items() if name not in ("metadata", "render")}, metadata, render)


def read_callback_order(request: Request) -> tuple[object, object, bool]:
    """Return metadata, render, and whether the one shared URL is asked for."""
    body = read_object(request, optional=True)
    _only(body, "metadata", "render", "shared")
    shared = body.get("shared", False)
    if not isinstance(shared, bool):
        raise InvalidInput("shared is true or false")
    if shared and len(body) > 1:
        raise InvalidInput("the shared URL serves many jobs, so it takes neither metadata nor render")
    return *_own(body), shared


def read_ref(request: Request) -> str | None:
    body = read_object(request, optional=True)
    _only(body, "ref")
    ref = body.get("ref")
    if ref is not None and not isinstance(ref, str):
        raise InvalidInput("ref is the text that POST /api/callbacks answered under ref")
    return ref


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidInput("an Idempotency-Key is 1 to 255 printable ASCII characters")
    return key


def prefers_async(request: Request) -> bool:
    """Whether the caller would rather be answered before the job is submitted (RFC 7240)."""
    wishes = re.split("[,;]", ",".join(request.headers.getlist("Prefer")).lower())
    return _RESPOND_ASYNC in (wish.strip() for wish in wishes)


def state_of(request: Request) -> JobState | None:
    text = request.args.get("state")
    return as_state(text) if text else None


def limit_of(request: Request) -> int:
    text = request.args.get("limit") or str(_DEFAULT_PAGE)
    if _LIMIT.fullmatch(text) is None:
        raise InvalidInput(f"limit is a number from 1 to {MAX_PAGE}", got=text[:40])
    return int(text)


def _own(body: dict[str, object]) -> tuple[object, object]:
    metadata, render = body.get("metadata"), body.get("render")
    if size_of(metadata) > MAX_METADATA_BYTES:
        raise InvalidInput(
            f"metadata is larger than {MAX_METADATA_BYTES} bytes; keep an id there, and the rest at home"
        )
    if render is not None and not isinstance(render, (bool, dict)):
        raise InvalidInput("render is true, false, or an object of render options")
    return metadata, render


def _only(body: dict[str, object], *known: str) -> None:
    strange = sorted(set(body) - set(known))
    if strange:
        raise InvalidInput(f"{', '.join(strange)[:200]} is not known here; the members are {', '.join(known)}")
