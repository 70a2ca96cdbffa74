"""What the ledger holds of a job, read whole, whether it is packed or not. Writes nothing.

A job can be packed, or unpacked, between two questions. So its record is asked for in one transaction with its lists,
and where a part that the record names is not there all of it is asked for once more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workers import bundle, keys
from workers.errors import LedgerUnavailable
from workers.identifiers import DeliverySubject, JobSubject, RefSubject, RenderSubject, Subject
from workers.reader import Fields, Reader, text, texts

_TRIES: Final = 3
_PACKED: Final = bundle.PACKED.encode()
Owner = JobSubject | RefSubject


@dataclass(frozen=True, slots=True)
class Holding:
    """``fields``: of the record. ``renders`` and ``deliveries``: by number, those that are there. The rest is JSON."""

    fields: Fields
    renders: Mapping[int, Fields] = field(default_factory=dict)
    deliveries: Mapping[int, Fields] = field(default_factory=dict)
    callbacks: Sequence[str] = ()
    timeline: Sequence[str] = ()


class Holdings:
    """Raises ``LedgerUnavailable`` from every method when Redis does not answer."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def of(self, owner: Owner) -> Holding:
        """Give all of it; no fields if it is not there."""
        for _ in range(_TRIES):
            found, whole = self._look(owner)
            if whole:
                break
        return found

    def renders(self, owners: Sequence[Owner]) -> list[tuple[Fields, list[Fields]]]:
        """Give the record of each, without fields if it is not there, and of its renders the states and progress."""
        found = self._reader.many([("HGETALL", keys.record(owner), ()) for owner in owners])
        records = [_seen(record) for record in found]
        counts = [0 if packed is not None else int(fields.get("renders", "0")) for fields, packed in records]
        names = [
            keys.record(RenderSubject(str(owner), n))
            for owner, count in zip(owners, counts, strict=True)
            for n in range(1, count + 1)
        ]
        read = iter(self._reader.picked(names, ("state", "progress")))
        return [
            self._with_renders(owner, fields, packed, [next(read) for _ in range(count)])
            for owner, (fields, packed), count in zip(owners, records, counts, strict=True)
        ]

    def _with_renders(
        self, owner: Owner, fields: Fields, packed: list[Fields] | None, renders: list[dict[str, str]]
    ) -> tuple[Fields, list[Fields]]:
        if packed is not None:
            return fields, packed
        if all(renders):
            return fields, list(renders)
        again = self.of(owner)
        return again.fields, list(again.renders.values())

    def _look(self, owner: Owner) -> tuple[Holding, bool]:
        """Give what is there, and whether nothing is missing."""
        record, callbacks, timeline = self._reader.at_once(
            [
                ("HGETALL", keys.record(owner), ()),
                ("LRANGE", keys.callbacks(owner), ("0", "-1")),
                ("LRANGE", keys.timeline(owner), ("0", "-1")),
            ]
        )
        fields, packed = _opened(owner, record)
        if packed is not None:
            return _unpacked(fields, packed), True
        parts: list[tuple[int, Subject]] = [(n, RenderSubject(str(owner), n)) for n in _numbers(fields, "renders")]
        renders = len(parts)
        parts += [(n, DeliverySubject(owner, n)) for n in _numbers(fields, "deliveries")]
        found = [texts(part) for part in self._reader.many([("HGETALL", keys.record(one), ()) for _, one in parts])]
        numbered = [(n, part) for (n, _), part in zip(parts, found, strict=True)]
        holding = Holding(
            fields,
            renders={n: part for n, part in numbered[:renders] if part},
            deliveries={n: part for n, part in numbered[renders:] if part},
            callbacks=[text(entry) for entry in callbacks],
            timeline=[text(entry) for entry in timeline],
        )
        return holding, all(found)


def _opened(owner: Owner, record: Mapping[bytes, Any]) -> tuple[Fields, bundle.Bundle | None]:
    """Give the fields of a record, and what was packed in it."""
    if _PACKED not in record or not isinstance(owner, JobSubject):
        return texts(record), None
    packed = bundle.unpack(record[_PACKED], owner)
    kept = {name: value for name, value in record.items() if name != _PACKED}
    return texts({**packed.record, **kept}), packed


def _seen(record: Mapping[bytes, Any]) -> tuple[Fields, list[Fields] | None]:
    """Give the fields of a record, and the renders that were packed in it.

    One job that is spoilt, or that a newer version has packed, hides no others: what is not packed of it is given.
    """
    if _PACKED not in record:
        return texts(record), None
    kept = {name: value for name, value in record.items() if name != _PACKED}
    try:
        packed, renders = bundle.glance(record[_PACKED])
    except LedgerUnavailable:
        return texts(kept), []
    return texts({**packed, **kept}), [texts(render) for render in renders]


def _unpacked(fields: Fields, packed: bundle.Bundle) -> Holding:
    return Holding(
        fields,
        renders={n: texts(part) for n, part in enumerate(packed.renders, 1)},
        deliveries={n: texts(part) for n, part in enumerate(packed.deliveries, 1)},
        callbacks=[text(entry) for entry in packed.callbacks],
        timeline=[text(entry) for entry in packed.timeline],
    )


def _numbers(fields: Fields, name: str) -> Iterator[int]:
    return iter(range(1, int(fields.get(name, "0")) + 1))
