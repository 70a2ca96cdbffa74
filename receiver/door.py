"""The door: ``POST /webhooks/swiftia/<token>``. Answers 202 once a callback is stored so that nothing can lose it.

Lean on purpose: no hook runs around it, and it asks Redis once. While Redis is away the spool takes its place.
"""

from collections.abc import Callable
from typing import Final

import structlog
from flask import Blueprint, Response, request

from receiver.answers import json_answer
from receiver.bodies import read_body
from receiver.problems import Unidentified
from workers.errors import ServiceError
from workers.intake import Intake
from workers.keyring import Keyring
from workers.payloads import read_hint
from workers.records import Accepted, Callback
from workers.signing import verify
from workers.tokens import SHARED, read_token

_RECEIPT_BYTES = 10
_LONGEST_TYPE, _LONGEST_AGENT = 100, 200
_SHOWN_OF_REF: Final = slice(len("ref:"), len("ref:") + 6)
_log = structlog.get_logger("receiver")


class Door:
    """``now``: Unix seconds. ``random``: gives n unguessable bytes."""

    def __init__(
        self,
        intake: Intake,
        keyring: Keyring,
        *,
        max_bytes: int,
        now: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._intake = intake
        self._keys = keyring.callback_secrets()
        self._secrets = keyring.signing_bytes()
        self._max_bytes = max_bytes
        self._now = now
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
            _log.warning("callback.refused", reason=type(error).__name__, peer=request.remote_addr)
            raise

    def _receive(self, token: str) -> Response:
        began = self._now()
        ref = read_token(token, self._keys)  # before anything of a stranger's is read
        body = read_body(request, limit=self._max_bytes)
        if self._secrets:
            verify(body, dict(request.headers), secrets=self._secrets, now=began)
        accepted = self._intake.take(self._callback("" if ref == SHARED else ref, body, self._receipt(began)))
        if not accepted.owner and accepted.outcome != "erased":
            raise Unidentified(
                "the shared callback URL needs the job's id in a JSON body, under id, jobId or job_id; "
                "the body is kept for the operator",
                receipt=accepted.receipt,
            )
        self._tell(accepted, len(body), self._now() - began)
        return json_answer({"receipt": accepted.receipt, "outcome": accepted.outcome}, 202)

    def _callback(self, ref: str, body: bytes, receipt: str) -> Callback:
        job_id = read_hint(body).job_id or ""
        meta = {
            "from": request.remote_addr,
            "size": len(body),
            "type": request.headers.get("Content-Type", "")[:_LONGEST_TYPE],
            "agent": request.headers.get("User-Agent", "")[:_LONGEST_AGENT],
            "hint": job_id,
        }
        return Callback(receipt=receipt, ref=ref, job_id=job_id, meta=meta, body=body)

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
