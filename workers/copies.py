"""Jobs and submissions copied out of the ledger, each whole as it stands at one moment, and put back."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from redis import Redis

from workers import bundle, keys
from workers.backupfile import batches
from workers.identifiers import JobSubject, RefSubject
from workers.jobcopy import Copy, Owner
from workers.nudges import templates
from workers.reader import Reader
from workers.scripts import LedgerScripts
from workers.states import JobState

_AT_ONCE: Final = 64
# What is larger is asked for by itself, so that a batch takes little memory.
_LARGE: Final = 256 << 10
_PACKED: Final = bundle.PACKED.encode()


class Copies:
    """``began_ms``: when the backup began. Raises ``LedgerUnavailable`` when Redis does not answer."""

    def __init__(self, redis: Redis, *, began_ms: int) -> None:
        self._reader = Reader(redis)
        self._scripts = LedgerScripts(redis, templates(redis))
        self._began_ms = began_ms

    def of(self, owners: Iterable[Owner]) -> Iterator[Copy | None]:
        """Copy each of them, in that order; None for what is not there."""
        for batch in batches(owners, _AT_ONCE):
            for owner, answer in zip(batch, self._ask(batch, _LARGE), strict=True):
                found = self._ask([owner], 0)[0] if len(answer) == 1 else answer
                yield self._completed(Copy.of(owner, *found)) if found else None

    def _ask(self, owners: Sequence[Owner], most: int) -> list[Any]:
        calls = [({"of": str(owner), "states": list(JobState), "most": most}, ()) for owner in owners]
        answers: list[Any] = self._reader.ask(partial(self._scripts.run_many, "copy", calls))
        return answers

    def put(self, copies: Sequence[Copy]) -> list[bool]:
        """Put back those in whose place nothing stands."""
        calls = [_call(copy) for copy in copies]
        answers = self._reader.ask(partial(self._scripts.run_many, "put", calls))
        return [bool(answer) for answer in answers]

    def put_over(self, copy: Copy, older: Sequence[Copy]) -> None:
        """Put a copy back in the place of older ones: of its own, or of its refs from before they were its own."""
        self._reader.ask(partial(self._scripts.run_many, "put", [_call(copy, older)]))

    def older(self, copy: Copy) -> list[Copy]:
        """What stands in its place."""
        refs = [key.removeprefix(keys.PREFIX) for key, _, _ in copy.keys if key.startswith(f"{keys.PREFIX}ref:")]
        owners = [copy.owner, *(RefSubject(ref.removeprefix("ref:")) for ref in refs if ref != str(copy.owner))]
        return [found for found in self.of(owners) if found is not None]

    def _completed(self, copy: Copy) -> Copy:
        """The refs of a packed job are copied before it. One that was linked and packed since was not linked then."""
        if not isinstance(copy.owner, JobSubject):
            return copy
        ended = [score for index, _, score in copy.places if index == keys.ENDED]
        packed = _packed(copy)
        if packed is None or not ended or float(ended[0]) < self._began_ms:
            return copy
        refs = [RefSubject(name.decode()) for name in bundle.unpack(packed, copy.owner).refs]
        linked = (b"state", b"linked", b"job_id", str(copy.owner).encode())
        found = [*copy.keys, *((keys.record(ref), "hash", linked) for ref in refs)]
        return Copy.of(copy.owner, found, copy.places)


def now_ms(redis: Redis) -> int:
    seconds, micros = Reader(redis).ask(redis.time)
    return int(seconds) * 1000 + int(micros) // 1000


def _packed(copy: Copy) -> bytes | None:
    record = next(words for key, _, words in copy.keys if key == keys.record(copy.owner))
    return dict(zip(record[::2], record[1::2], strict=True)).get(_PACKED)


def _call(copy: Copy, older: Sequence[Copy] = ()) -> tuple[dict[str, object], list[bytes]]:
    arguments: dict[str, object] = {
        "of": str(copy.owner),
        "keys": [[key, kind, len(words)] for key, kind, words in copy.keys],
        "places": [list(place) for place in copy.places],
        "drop_keys": [key for one in older for key, _, _ in one.keys],
        "drop_places": [list(place) for one in older for place in one.places],
    }
    return arguments, [word for _, _, words in copy.keys for word in words]
