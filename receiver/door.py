"""The door: ``POST /webhooks/swiftia/<token>``. Answers 202 once a callback is stored so that nothing can lose it.

Lean on purpose: no hook runs around it, and it asks Redis once. While Redis is away the spool takes its place.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from flask import Blueprint, Response, request

from receiver.answers import json_answer
from receiver.bodies import BodyTooLarge, read_body
from receiver.problems import Unidentified
from receiver.proxies import Asked, Proxies
from receiver.tally import Tally
from workers import tracing
from workers.errors import InvalidInput, LedgerUnavailable, ServiceError, SpoolUnavailable, Unauthorized
from workers.intake import Intake
from workers.keyring import Keyring
from workers.payloads import read_hint
from workers.records import Accepted, Callback
from workers.scribe import carried
from workers.signing import verify
from workers.tokens import read_token, shared_account

_RECEIPT_BYTES = 10
_LONGEST_TYPE, _LONGEST_AGENT = 100, 200
_SHOWN_OF_REF: Final = slice(len("ref:"), len("ref:") + 6)
_log = structlog.get_logger("receiver")


class BadSignature(Unauthorized):
    """The token is right, and the signature that is demanded on top of it is not."""


# The first that fits counts.
_CAUSES: Final[Mapping[type[ServiceError], str]] = {
    BadSignature: "signature",
    Unauthorized: "token",
    BodyTooLarge: "size",
    InvalidInput: "body",
    Unidentified: "unidentifiable",
    LedgerUnavailable: "not_stored",
    SpoolUnavailable: "not_stored",
}


class Door:
    """``now``: Unix seconds. ``clock``: seconds that only rise. ``random``: gives n unguessable bytes."""

    def __init__(
        self,
        intake: Intake,
        keyring: Keyring,
        proxies: Proxies,
        *,
        tally: Tally,
        max_bytes: int,
        now: Callable[[], float],
        random: Callable[[int], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake = intake
        self._tally = tally
        self._keys = keyring.callback_secrets()
        self._secrets = keyring.signing_bytes()
        self._proxies = proxies
        self._max_bytes = max_bytes
        self._now = now
        self._clock = clock
        self._random = random

    def blueprint(self) -> Blueprint:
        door = Blueprint("door", __name__)
        # A redirect would lose the callback: hardly a sender of webhooks follows one with its body.
        door.add_url_rule("/webhooks/swiftia/<token>", view_func=self.receive, methods=["POST"], strict_slashes=False)
        return door

    def receive(self, token: str) -> Response:
        try:
            return self._receive(token)
        except ServiceError as error:
            cause = next((cause for kind, cause in _CAUSES.items() if isinstance(error, kind)), "fault")
            self._tally.refused(cause)
            _log.warning("callback.refused", cause=cause, peer=self._proxies.client(request))
            raise
        except Exception:
            self._tally.refused("fault")
            raise

    def _receive(self, token: str) -> Response:
        began, at = self._clock(), self._now()
        ref = read_token(token, self._keys)  # before anything of a stranger's is read
        with tracing.span("callback.receive", kind="server", carrier=request.headers) as span:
            accepted, size = self._taken(ref, at)
            span.set(outcome=accepted.outcome, receipt=accepted.receipt)
            self.tell(accepted, size, began)
        return json_answer(answer_of(accepted), 202)

    @property
    def takes_plain(self) -> bool:
        """Whether all that there is to know of a callback is in what ``callback`` is given."""
        return not self._secrets and not tracing.is_on()

    def callback(self, token: str, asked: Asked, body: bytes) -> Callback:
        """Read a callback. Raises Unauthorized."""
        return self._callback(read_token(token, self._keys), asked, body, self._receipt(self._now()))

    def tell(self, accepted: Accepted, size: int, began: float) -> None:
        """Count and log a callback that is acknowledged. ``began``: when it came, by ``clock``."""
        seconds = self._clock() - began
        self._tally.took(accepted.outcome, seconds)
        self._tell(accepted, size, seconds)

    def _taken(self, ref: str, at: float) -> tuple[Accepted, int]:
        """Read the callback and keep it; answers its size too."""
        body = read_body(request, limit=self._max_bytes)
        if self._secrets:
            self._check_signature(body, at)
        accepted = self._intake.take(self._callback(ref, request, body, self._receipt(at)))
        if not accepted.owner and accepted.outcome != "erased":
            raise Unidentified(
                "the shared callback URL needs the job's id in a JSON body, under id, jobId or job_id; "
                "the body is kept for the operator",
                receipt=accepted.receipt,
            )
        return accepted, len(body)

    def _check_signature(self, body: bytes, at: float) -> None:
        try:
            verify(body, dict(request.headers), secrets=self._secrets, now=at)
        except Unauthorized as error:
            raise BadSignature(error.message) from None

    def _callback(self, ref: str, asked: Asked, body: bytes, receipt: str) -> Callback:
        job_id, account = read_hint(body).job_id or "", shared_account(ref)
        meta = {
            "from": self._proxies.client(asked),
            "size": len(body),
            "type": asked.headers.get("Content-Type", "")[:_LONGEST_TYPE],
            "agent": asked.headers.get("User-Agent", "")[:_LONGEST_AGENT],
            "hint": job_id,
            **({"account": account} if account else {}),
            **carried(),
        }
        return Callback(receipt=receipt, ref=ref if account is None else "", job_id=job_id, meta=meta, body=body)

    def _receipt(self, at: float) -> str:
        """32 hexadecimal digits that sort by time."""
        return f"{int(at * 1000):012x}{self._random(_RECEIPT_BYTES).hex()}"

    def _tell(self, accepted: Accepted, size: int, seconds: float) -> None:
        owner = accepted.owner
        # A whole ref is half of a callback URL.
        whose = {"ref": owner[_SHOWN_OF_REF]} if owner.startswith("ref:") else {"job": owner}
        _log.info(
            "callback.received",
            outcome=accepted.outcome,
            receipt=accepted.receipt,
            size=size,
            ms=round(seconds * 1000, 1),
            **whose,
        )


def answer_of(accepted: Accepted) -> dict[str, str]:
    return {"receipt": accepted.receipt, "outcome": accepted.outcome}
