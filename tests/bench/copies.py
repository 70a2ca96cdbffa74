"""Finished jobs by the hundred thousand: real ones are copied under other names, with other titles, times and hashes.

A copy has the keys of the job that it was made of, field by field and byte by byte, but for the words that are one
job's own. ``tests/bench/test_million.py`` shows it: the copy of one real job under another's names is that other one.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final

from redis import Redis

from workers import keys
from workers.bundle import PACKED, unpack
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject
from workers.squeeze import spread, squeeze

# What is one job's own, beside its id and its refs: renders, events, hashes, receipts, and moments.
_OWN: Final = rb"rnd_[A-Za-z0-9]{12}|msg_[0-9a-f]{32}|\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b|\b1[789]\d{11}\b"
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_AS_LETTERS: Final = bytes(_LETTERS[n % len(_LETTERS)] for n in range(256))
_SYLLABLES: Final = (
    "ba",
    "co",
    "di",
    "fu",
    "ga",
    "he",
    "ki",
    "lo",
    "mu",
    "na",
    "qui",
    "ra",
    "se",
    "ti",
    "vo",
    "bel",
    "fin",
)
INDEXES: Final = (keys.jobs_in("finished"), keys.ENDED, keys.UNPACKED)
Rename = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Copy:
    """``hashes`` and ``lists`` by key. ``entries``: of the sorted sets, by name: when, and what."""

    job: str
    refs: tuple[str, ...]
    titles: tuple[bytes, ...]
    hashes: Mapping[bytes, Mapping[bytes, bytes]]
    lists: Mapping[bytes, Sequence[bytes]]
    entries: Mapping[bytes, tuple[float, bytes]]

    @classmethod
    def read(cls, redis: Redis, job: JobSubject) -> "Copy":
        """Read a real one, packed or not."""
        record = redis.hgetall(keys.record(job))
        packed = record.get(PACKED.encode())
        whole = {**unpack(packed, job).record, **record} if packed else record
        refs = tuple((whole.get(b"ref", b"") + whole.get(b"more_refs", b"")).decode().split())
        parts = [RenderSubject(str(job), n + 1) for n in range(int(whole.get(b"renders", b"0")))]
        parts += [DeliverySubject(job, n + 1) for n in range(int(whole.get(b"deliveries", b"0")))]
        named = [keys.record(one) for one in (job, *parts, *map(RefSubject, refs))] + [keys.seen(job)]
        hashes = {name.encode(): redis.hgetall(name) for name in named}
        lists = {name.encode(): redis.lrange(name, 0, -1) for name in (keys.timeline(job), keys.callbacks(job))}
        scores = {name.encode(): redis.zscore(name, str(job)) for name in INDEXES}
        return cls(
            str(job),
            refs,
            tuple(sorted(_titles(redis, job, whole, len(parts)), key=len, reverse=True)),
            {name: fields for name, fields in hashes.items() if fields},
            {name: entries for name, entries in lists.items() if entries},
            {name: (at, str(job).encode()) for name, at in scores.items() if at is not None},
        )

    @cached_property
    def _own(self) -> re.Pattern[bytes]:
        words = (self.job.encode(), *(ref.encode() for ref in self.refs), *self.titles)
        return re.compile(b"|".join([*map(re.escape, words), _OWN]))

    def renamed(self, rename: Rename) -> "Copy":
        """Say the same of another job: ``rename`` gives another word for each that is this one's own."""
        own = self._own

        def said(text: bytes) -> bytes:
            return own.sub(lambda found: rename(found[0]), text)

        return replace(
            self,
            job=said(self.job.encode()).decode(),
            refs=tuple(said(ref.encode()).decode() for ref in self.refs),
            titles=tuple(map(said, self.titles)),
            hashes={said(name): self._hash(fields, said) for name, fields in self.hashes.items()},
            lists={said(name): [said(entry) for entry in entries] for name, entries in self.lists.items()},
            entries={name: (float(said(b"%.0f" % at)), said(member)) for name, (at, member) in self.entries.items()},
        )

    def _hash(self, fields: Mapping[bytes, bytes], said: Rename) -> dict[bytes, bytes]:
        packed = PACKED.encode()
        return {
            said(name): squeeze(said(_spread(text))) if name == packed else said(text) for name, text in fields.items()
        }

    def write(self, pipe: Any) -> None:
        for name, fields in self.hashes.items():
            pipe.hset(name, mapping=fields)
        for name, entries in self.lists.items():
            pipe.rpush(name, *entries)
        for name, (at, member) in self.entries.items():
            pipe.zadd(name, {member: at})


@lru_cache(maxsize=100)
def _spread(packed: bytes) -> bytes:
    """The ids of its deliveries are not in there: they are made of the job's name when it is unpacked."""
    return spread(packed)


def _titles(redis: Redis, job: JobSubject, whole: Mapping[bytes, bytes], parts: int) -> Iterator[bytes]:
    packed = redis.hget(keys.record(job), PACKED)
    renders = (
        unpack(packed, job).renders if packed else [redis.hgetall(f"sr:render:{job}/{n + 1}") for n in range(parts)]
    )
    found = {whole.get(b"title", b""), *(_title(render.get(b"short", b"")) for render in renders)}
    yield from found - {b""}


def _title(short: bytes) -> bytes:
    found = re.search(rb'"title":"([^"\\]+)"', short)
    return found[1] if found else b""


class Names:
    """Other words of the same kind, the same one for the same word. ``later_ms``: how much later all of it happened."""

    def __init__(self, copy: Copy, chance: random.Random, *, later_ms: int) -> None:
        self._chance = chance
        self._later_ms = later_ms
        self._titles = frozenset(copy.titles)
        self._known: dict[bytes, bytes] = {}

    def __call__(self, word: bytes) -> bytes:
        if word not in self._known:
            self._known[word] = self._other(word)
        return self._known[word]

    def _other(self, word: bytes) -> bytes:
        if word in self._titles:
            return self._title(len(word))
        if word.isdigit() and len(word) == len("1700000000000"):
            return b"%d" % (int(word) + self._later_ms)
        if word[:4] in (b"job_", b"rnd_"):
            return word[:4] + self._letters(len(word) - 4)
        if word[:4] == b"msg_":
            return word[:4] + self._hex(len(word) - 4)
        return self._hex(len(word)) if len(word) in (32, 64) else self._letters(len(word))

    def _letters(self, count: int) -> bytes:
        return self._chance.randbytes(count).translate(_AS_LETTERS)

    def _hex(self, count: int) -> bytes:
        return self._chance.randbytes(count // 2).hex().encode()

    def _title(self, length: int) -> bytes:
        """Words that nobody has said before, of about the length of the other title."""
        found = ""
        while len(found) < length:
            found += "".join(self._chance.choices(_SYLLABLES, k=self._chance.randint(1, 4))) + " "
        return found.strip().capitalize().encode()
