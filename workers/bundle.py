"""What is packed of a job that has come to rest, as one value of few bytes. Pure.

It is JSON in which each byte stands as the character of that number, squeezed (``squeeze``). The id of a delivery is
left out where it is made of the job's name (``announce`` in ``lua/prelude.lua``), as nearly all are.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workers import keys
from workers.errors import LedgerUnavailable
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject
from workers.squeeze import spread, squeeze

Hash = Mapping[bytes, bytes]
Write = tuple[str, str, Sequence[bytes]]
"""A command of Redis, its key, and the rest of its words."""

PACKED: Final = "packed"
# What a job is listed, found and judged by stays in its record as it is.
KEPT: Final = ("state", "function", "account", "title", "metadata")
_MADE: Final = "="
_COUNT: Final = 7
_SPOILT: Final = "a packed job cannot be read: a newer version has written it, or its record in Redis is spoilt"
_KEPT: Final = frozenset(name.encode() for name in KEPT)


@dataclass(frozen=True, slots=True)
class Bundle:
    """``record``: the fields of the job's own record but for those of ``KEPT``. ``refs``: the records of its refs."""

    record: Hash
    renders: tuple[Hash, ...]
    deliveries: tuple[Hash, ...]
    timeline: tuple[bytes, ...]
    callbacks: tuple[bytes, ...]
    seen: Hash
    refs: Mapping[bytes, Hash]

    @classmethod
    def of(cls, parts: Sequence[Any]) -> "Bundle":
        """``parts``: as ``lua/rest.lua`` lists them, each hash flat."""
        record, renders, deliveries, timeline, callbacks, seen, refs = parts
        return cls(
            record={name: value for name, value in _hash(record).items() if name not in _KEPT},
            renders=tuple(map(_hash, renders)),
            deliveries=tuple(map(_hash, deliveries)),
            timeline=tuple(timeline),
            callbacks=tuple(callbacks),
            seen=_hash(seen),
            refs={ref: _hash(fields) for ref, fields in zip(refs[::2], refs[1::2], strict=True)},
        )

    def writes(self, job: JobSubject) -> Iterator[Write]:
        """Give what puts all of it back, beside the fields of ``KEPT``."""
        parts = [(keys.record(RenderSubject(job.job_id, n)), part) for n, part in enumerate(self.renders, 1)]
        parts += [(keys.record(DeliverySubject(job, n)), part) for n, part in enumerate(self.deliveries, 1)]
        parts += [(keys.record(RefSubject(ref.decode())), part) for ref, part in self.refs.items()]
        hashes = [(keys.record(job), self.record), *parts, (keys.seen(job), self.seen)]
        yield from (("HSET", key, _flat(fields)) for key, fields in hashes if fields)
        lists = [(keys.timeline(job), self.timeline), (keys.callbacks(job), self.callbacks)]
        yield from (("RPUSH", key, entries) for key, entries in lists if entries)


def pack(bundle: Bundle, job: JobSubject) -> bytes:
    return squeeze(json.dumps(_texts(bundle, job), ensure_ascii=False, separators=(",", ":")).encode("latin-1"))


def unpack(packed: bytes, job: JobSubject) -> Bundle:
    """Raise ``LedgerUnavailable`` for what a later version has packed, or is spoilt."""
    record, renders, deliveries, timeline, callbacks, seen, refs = _parts(packed)
    try:
        return Bundle(
            record=_bytes(record),
            renders=tuple(map(_bytes, renders)),
            deliveries=tuple(
                _with_id(_bytes(part), made_id(DeliverySubject(job, n), record)) for n, part in enumerate(deliveries, 1)
            ),
            timeline=tuple(entry.encode("latin-1") for entry in timeline),
            callbacks=tuple(entry.encode("latin-1") for entry in callbacks),
            seen=_bytes(seen),
            refs={ref.encode("latin-1"): _bytes(fields) for ref, fields in refs.items()},
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise LedgerUnavailable(_SPOILT) from error


def glance(packed: bytes) -> tuple[Hash, list[Hash]]:
    """Give the record and the renders alone, for a listing. Raises as ``unpack``."""
    record, renders, *_ = _parts(packed)
    return _bytes(record), [_bytes(part) for part in renders]


def _parts(packed: bytes) -> list[Any]:
    try:
        found = json.loads(spread(packed).decode("latin-1"))
    except ValueError as error:
        raise LedgerUnavailable(_SPOILT) from error
    if not isinstance(found, list) or len(found) != _COUNT:
        raise LedgerUnavailable(_SPOILT)
    return found


def _hash(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _flat(fields: Hash) -> list[bytes]:
    return [word for pair in fields.items() for word in pair]


def _texts(bundle: Bundle, job: JobSubject) -> list[object]:
    record = _text_hash(bundle.record)
    return [
        record,
        [_text_hash(part) for part in bundle.renders],
        [
            _without_id(_text_hash(part), made_id(DeliverySubject(job, n), record))
            for n, part in enumerate(bundle.deliveries, 1)
        ],
        [entry.decode("latin-1") for entry in bundle.timeline],
        [entry.decode("latin-1") for entry in bundle.callbacks],
        _text_hash(bundle.seen),
        {ref.decode("latin-1"): _text_hash(fields) for ref, fields in bundle.refs.items()},
    ]


def made_id(delivery: DeliverySubject, record: Mapping[str, str]) -> str:
    """Give the id that a delivery of a job with that record was made with."""
    name = f"{delivery} {record.get('created', '')}"
    return "msg_" + hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:32]


def _without_id(delivery: dict[str, str], made: str) -> dict[str, str]:
    return {**delivery, "id": _MADE} if delivery.get("id") == made else delivery


def _with_id(delivery: dict[bytes, bytes], made: str) -> dict[bytes, bytes]:
    return {**delivery, b"id": made.encode()} if delivery.get(b"id") == _MADE.encode() else delivery


def _text_hash(fields: Hash) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in fields.items()}


def _bytes(fields: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode("latin-1"): value.encode("latin-1") for name, value in fields.items()}
