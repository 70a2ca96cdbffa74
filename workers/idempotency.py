"""The Idempotency-Keys of submissions: which ref each was taken for, and with what."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from redis import Redis

from workers import keys
from workers.errors import Conflict
from workers.reader import asked

IDEMPOTENCY_S: Final = 86_400


class IdempotencyMismatch(Conflict):
    """The key was used for another submission."""


class Claims:
    """Raises ``LedgerUnavailable`` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def take(self, key: str, ref: str, fields: Mapping[str, object]) -> str:
        """Take ``key`` for ``ref``. Return the ref that has it: an earlier one, if that was for the same ``fields``.

        Raise ``IdempotencyMismatch`` if it was for others.
        """
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        claim = json.dumps({"digest": digest, "ref": ref})
        name = keys.idempotency(digest_of(key))
        if asked(self._redis.set, name, claim, nx=True, ex=IDEMPOTENCY_S):
            return ref
        kept = json.loads(asked(self._redis.get, name) or claim)
        if kept["digest"] != digest:
            raise IdempotencyMismatch("this Idempotency-Key was used for another submission; make a fresh one")
        return str(kept["ref"])


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
