"""Sessions of the console: signed, and kept by the browser that has them.

Every web process on every machine reads the same ones, for the key is made of the tokens; who changes a token signs
everybody out. A session ends after ``IDLE_S`` in which it was not used, and in any case after ``LONGEST_S``. Of those
that were ended before, Redis keeps the names for as long as they could still be shown.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from itsdangerous import BadData, URLSafeSerializer
from redis import Redis, RedisError

from workers import keys
from workers.keyring import Keyring

IDLE_S: Final = 2 * 3600
LONGEST_S: Final = 12 * 3600
_RENEW_S: Final = 300
_CLOCKS_APART_S: Final = 300
_NAME_BYTES: Final = 18


class Role(StrEnum):
    ADMIN = "admin"
    VIEWER = "viewer"  # looks, and changes nothing


@dataclass(frozen=True, slots=True)
class Session:
    """``began`` and ``used``: Unix seconds."""

    name: str
    role: Role
    began: int
    used: int


class Sessions:
    """``now``: Unix seconds. ``random``: gives n unguessable bytes."""

    def __init__(
        self, keyring: Keyring, redis: Redis, *, now: Callable[[], float], random: Callable[[int], bytes]
    ) -> None:
        admin, viewer = keyring.admin_token, keyring.viewer_token
        self._tokens = [(Role.ADMIN, admin.get_secret_value().encode())]
        if viewer is not None:
            self._tokens.append((Role.VIEWER, viewer.get_secret_value().encode()))
        self._key = b"\0".join([b"swiftia-receiver console", *(token for _, token in self._tokens)])
        self._key = hmac.digest(self._tokens[0][1], self._key, "sha256")
        signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._signed = URLSafeSerializer(self._key, salt="session", signer_kwargs=signer)
        self._redis = redis
        self._now = now
        self._random = random

    def role_of(self, token: str) -> Role | None:
        """Say what a token lets its holder do. Takes the same time for each that does not fit."""
        offered = token.encode("utf-8", "surrogatepass")
        fitting = [role for role, known in self._tokens if hmac.compare_digest(offered, known)]
        return fitting[0] if fitting else None

    def open(self, role: Role) -> Session:
        at = int(self._now())
        return Session(base64.urlsafe_b64encode(self._random(_NAME_BYTES)).decode(), role, at, at)

    def write(self, session: Session) -> str:
        return str(self._signed.dumps([session.name, session.role, session.began, session.used]))

    def read(self, text: str) -> Session | None:
        """Return the session unless it is none of ours, has been idle or open for too long, or was ended."""
        try:
            name, role, began, used = self._signed.loads(text)
            session = Session(name, Role(role), began, used)
        except (BadData, ValueError, TypeError):
            return None
        at = self._now()
        fresh = at - session.used < IDLE_S and at - session.began < LONGEST_S
        # A clock that was set back must not make it last.
        sane = session.began <= session.used <= at + _CLOCKS_APART_S
        return session if fresh and sane and not self._is_ended(session) else None

    def renewed(self, session: Session) -> Session | None:
        """Return the session as it is to be kept from now on, None as long as what is kept will do."""
        at = int(self._now())
        return replace(session, used=at) if at - session.used >= _RENEW_S else None

    def end(self, session: Session) -> None:
        """Raise ``RedisError`` if nobody will know of it: the browser has forgotten it all the same."""
        self._redis.set(keys.signed_out(session.name), 1, ex=LONGEST_S)

    def form_token(self, name: str) -> str:
        """What the forms of a session carry: nobody else can make it or read it."""
        return hmac.digest(self._key, b"form\0" + name.encode(), "sha256").hex()

    def _is_ended(self, session: Session) -> bool:
        try:
            return bool(self._redis.exists(keys.signed_out(session.name)))
        except RedisError:
            return False  # what there is to see without Redis is worth little, and has to be seen just then
