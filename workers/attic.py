"""Where jobs go that have come to rest: each one packed into a single field of its record (``bundle``).

What is packed is read as it is, and unpacked before anything is written about it: a script of the ledger that meets
such a job says so and does nothing (``take_up_all`` in ``lua/prelude.lua``). Both ways are one script each. It looks
whether what it replaces is still what was read before, so a process may die anywhere between.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from redis import Redis, ResponseError

from workers import keys
from workers.bundle import PACKED, Bundle, pack, unpack
from workers.errors import ServiceError
from workers.identifiers import JobSubject
from workers.scripts import PACKED as REFUSAL

Run = Callable[..., Any]
_REFUSED: Final = re.compile(rf"{REFUSAL} ([A-Za-z0-9_-]{{1,128}})", re.ASCII)
# More often than that nobody can have packed it again in between, as it stays unpacked for a while.
_MOST: Final = 5
_IDLE_S: Final = 5.0
_log = structlog.get_logger("workers.attic")


class Attic:
    """``run``: runs a script by name, with its arguments and then bytes. Redis's own errors are passed on."""

    def __init__(self, redis: Redis, run: Run) -> None:
        self._redis = redis
        self._run = run

    def pack_one(self, given: Mapping[str, object]) -> bool:
        """Pack the next job that has come to rest. False if there is none. ``given``: what every script is given."""
        found = self._run("ripe", given)
        if not isinstance(found, list):
            return bool(found)
        job, proof, parts = found
        subject = JobSubject(job.decode())
        arguments = {**given, "of": str(subject), "proof": proof.decode()}
        self._run("pack", arguments, pack(Bundle.of(parts), subject))
        return True

    def unpacked(self, given: Mapping[str, object], ask: Callable[[], Any]) -> Any:
        """Ask, and whenever the answer is that a job is packed, unpack that and ask again."""
        for _ in range(_MOST):
            try:
                return ask()
            except ResponseError as error:
                refused = _REFUSED.fullmatch(str(error))
                if refused is None:
                    raise
                self._unpack(JobSubject(refused[1]), given)
        return ask()

    def _unpack(self, job: JobSubject, given: Mapping[str, object]) -> None:
        packed: Any = self._redis.hget(keys.record(job), PACKED)
        if packed is None:
            return  # somebody else has unpacked it
        writes = list(unpack(packed, job).writes(job))
        told = [[command, key, len(words)] for command, key, words in writes]
        proof = hashlib.sha1(packed, usedforsecurity=False).hexdigest()
        arguments = {**given, "of": str(job), "proof": proof, "writes": told}
        self._run("unpack", arguments, *(word for _, _, words in writes for word in words))


def keep_packing(pack_one: Callable[[], bool], stop: threading.Event) -> None:
    """Run until ``stop``; a thread of the clock, whose own work waits for nobody."""
    while not stop.is_set():
        try:
            busy = pack_one()
        except ServiceError as error:
            _log.warning("packing.failed", reason=error.message)
            busy = False
        except Exception:  # noqa: BLE001 - the next one may do, and without this thread the memory fills up
            _log.exception("packing.crashed")
            busy = False
        if not busy:
            stop.wait(_IDLE_S)
