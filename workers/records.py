"""What the ledger says of a subject when a step begins, and what it answers to a callback. Plain values."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.identifiers import Subject

Event = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Record:
    """One claimed attempt. ``fields`` is the subject's own hash, ``job`` a render's job, ``now_ms`` Redis's time."""

    subject: Subject
    step: str
    attempt: int
    now_ms: int
    fields: Mapping[str, str]
    job: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return self.fields["state"]

    @property
    def tries(self) -> int:
        """How many attempts in a row have failed so far."""
        return int(self.fields.get("tries", "0"))

    def age_s(self, name: str = "created") -> float:
        """Seconds since the moment kept under ``name``, nought if there is none."""
        since = self.fields.get(name)
        return max(0.0, (self.now_ms - float(since)) / 1000) if since else 0.0


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback as it was received. ``ref`` or ``job_id`` may be empty; where both are, it names no job."""

    receipt: str
    ref: str
    job_id: str
    meta: Mapping[str, object]
    body: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def owner(self) -> str:
        """Whose it is, as far as the callback itself tells; empty for nobody's."""
        return f"ref:{self.ref}" if self.ref else self.job_id


@dataclass(frozen=True, slots=True)
class Accepted:
    """``outcome``: ``new``, ``duplicate``, ``full`` (not kept, but its job is looked at), ``erased`` (ignored),
    ``unidentified`` (kept for the operator) or ``spooled`` (kept here until Redis is back).
    """

    outcome: str
    owner: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One pass of the clock. ``next_ms``: until something may be due, or None if nothing is."""

    nudged: int
    parked: int
    next_ms: int | None
    silent: int


def text_fields(flat: Sequence[bytes]) -> dict[str, str]:
    """Turn the flat answer of HGETALL inside a script into a mapping."""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in pairs}


def storable(fields: Mapping[str, object]) -> dict[str, str]:
    """What a Redis hash can hold: text as it is, None left out, everything else as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in fields.items()
        if value is not None
    }


def loaded(text: str | None) -> Any:
    """Read what ``storable`` wrote as JSON; None for nothing."""
    return json.loads(text) if text else None
