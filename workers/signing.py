"""Standard Webhooks signatures (scheme ``v1``, HMAC-SHA256): one side signs, the other verifies."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from workers.errors import InvalidInput, Unauthorized

Secret = bytes

SECRET_PREFIX = "whsec_"  # noqa: S105 - what each secret begins with
_SHORTEST, _LONGEST = 24, 64
# No dot: the signed text is ``id.timestamp.body``, and a dot in the id would let one signature fit two messages.
_EVENT_ID = re.compile(r"[!-\-/-~]{1,256}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


def parse_secret(text: str) -> Secret:
    """Read ``whsec_<base64 of 24 to 64 bytes>``. The message of the error does not repeat the secret."""
    random = f"{_SHORTEST} to {_LONGEST} random bytes (openssl rand -base64 32)"
    fix = f"write {SECRET_PREFIX} followed by the base64 of {random}"
    if not isinstance(text, str) or not text.startswith(SECRET_PREFIX):
        raise InvalidInput(f"a webhook secret starts with {SECRET_PREFIX}; {fix}")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise InvalidInput(f"a webhook secret is not valid base64; {fix}") from None
    if not _SHORTEST <= len(secret) <= _LONGEST:
        raise InvalidInput(f"a webhook secret holds {len(secret)} bytes; {fix}")
    return secret


def sign(body: bytes, *, event_id: str, at: int, secrets: Sequence[Secret]) -> dict[str, str]:
    """Give the three headers. ``at``: Unix seconds. One signature for each secret, so that secrets can be rotated."""
    if _EVENT_ID.fullmatch(event_id) is None or _TIMESTAMP.fullmatch(str(at)) is None:
        raise InvalidInput("an event id is 1 to 256 printable characters without a dot, its time is Unix seconds")
    if not secrets:
        raise InvalidInput("there is no secret to sign with; set DELIVERY_SECRET")
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(_signature(secret, event_id, str(at), body) for secret in secrets),
    }


def verify(
    body: bytes, headers: Mapping[str, str], *, secrets: Sequence[Secret], now: float, tolerance_s: float = 300
) -> str:
    """Give the event id if a signature fits any of ``secrets``. Raises nothing but Unauthorized."""
    lowered = {name.lower(): value for name, value in headers.items()}
    event_id = _header(lowered, "webhook-id")
    timestamp = _header(lowered, "webhook-timestamp")
    offered = _header(lowered, "webhook-signature").split(" ")
    if _EVENT_ID.fullmatch(event_id) is None:
        raise Unauthorized("webhook-id is not 1 to 256 printable characters without a dot")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise Unauthorized("webhook-timestamp is not a number of Unix seconds")
    if not abs(now - int(timestamp)) <= tolerance_s:
        raise Unauthorized(f"webhook-timestamp is more than {tolerance_s:g} s away from our clock; check both clocks")
    expected = [_signature(secret, event_id, timestamp, body) for secret in secrets]
    if not any([_same(ours, theirs) for ours in expected for theirs in offered]):  # noqa: C419 - a generator stops early
        raise Unauthorized("no signature in webhook-signature fits; check that both sides use the same secret")
    return event_id


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Unauthorized(f"the header {name} is missing; sign the request as Standard Webhooks says")
    return value


def _signature(secret: Secret, event_id: str, timestamp: str, body: bytes) -> str:
    mac = hmac.digest(secret, f"{event_id}.{timestamp}.".encode("ascii") + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac).decode("ascii")


def _same(ours: str, theirs: str) -> bool:
    # The texts are compared, not the decoded bytes: then nothing has to be decoded that a stranger wrote.
    return hmac.compare_digest(ours.encode("ascii"), theirs.encode("utf-8", "surrogatepass"))
