"""What the ledger says of a subject when a step begins, and what it answers to a callback. Plain values."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.identifiers import Subject
from workers.outbox import target_of

Event = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Record:
    """One claimed attempt. ``fields`` is the subject's own hash, ``job`` a render's job, ``now_ms`` Redis's time.

    ``bodies``: of a fetch, those of its callbacks that were not kept as artifacts when it began, by receipt.
    """

    subject: Subject
    step: str
    attempt: int
    now_ms: int
    fields: Mapping[str, str]
    job: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def state(self) -> str:
        return self.fields["state"]

    @property
    def account(self) -> str:
        """Empty if nobody said whose it is. A render of an older version has that of its job."""
        return self.fields.get("account", self.job.get("account", ""))

    @property
    def tries(self) -> int:
        """How many attempts in a row have failed so far."""
        return int(self.fields.get("tries", "0"))

    @property
    def job_age_s(self) -> float:
        """Seconds since a render's job was first known, nought if that is not told."""
        since = self.job.get("created")
        return max(0.0, (self.now_ms - float(since)) / 1000) if since else 0.0

    @property
    def ids(self) -> Mapping[str, str]:
        """What every line of the log about this attempt bears. A delivery sent again has an origin of its own."""
        found = {name: self._of_either(name) for name in ("request_id", "submit_id")}
        if found["submit_id"] == found["request_id"]:
            del found["submit_id"]
        return {**found, "step": self.step, "subject": str(self.subject), "attempt": str(self.attempt)}

    @property
    def trace(self) -> str:
        """The traceparent of what set it going, or nothing."""
        return self._of_either("trace")

    def _of_either(self, name: str) -> str:
        return self.fields.get(name) or self.job.get(name, "")

    def age_s(self, name: str = "created") -> float:
        """Seconds since the moment kept under ``name``, nought if there is none or it lies ahead."""
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
    def account(self) -> str:
        """Whose URL it came under; empty for a URL of one job, or of nobody in particular."""
        return str(self.meta.get("account", ""))

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
    ``unidentified`` (kept for the operator) or ``spooled`` (kept here until Redis is back). ``ignored``: the account
    that it came under, or that of its ref, where that is not the job's.
    """

    outcome: str
    owner: str
    receipt: str
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """What the clock asks about one lane. ``most``: how many nudges there may be.

    ``account``: whose work is looked at, in the lane of what asks Swiftia. ``turn``: a less important one goes first.
    """

    lane: str
    account: str = ""
    most: int = 0
    turn: bool = False


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What became of a pass. ``next_ms``: until something may be due, or None if nothing is.

    ``silent``: attempts whose lease had lapsed. ``went_back_ms``: how far Redis's clock went back since the last pass.
    ``queued``: nudges of the account that no worker has begun.
    """

    nudged: int
    parked: int
    next_ms: int | None
    silent: int
    went_back_ms: int = 0
    queued: int = 0


@dataclass(frozen=True, slots=True)
class Freeing:
    """A job whose files at Swiftia are to be deleted, for the ``tries``-th time."""

    job_id: str
    account: str
    tries: int


def wishes_of(*, metadata: object, render: object, account: str, delivery: str | None) -> dict[str, object]:
    """What is asked of a job before it is there, for its ref to keep.

    ``delivery``: where it is told of, empty for nowhere, None for where its account's jobs are. An empty ``account`` is
    left out: what was submitted before there were accounts looks the same when it comes again.
    """
    wishes: dict[str, object] = {"metadata": quoted(metadata), "render": render}
    if account:
        wishes["account"] = account
    if delivery is not None:
        wishes |= {"delivery_url": delivery, "target": target_of(delivery)} if delivery else {"target": ""}
    return wishes


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


def quoted(value: object) -> object:
    """What ``storable`` is to be given where a value can be text and is read with ``loaded``: text in its quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value


def loaded(text: str | None) -> Any:
    """Read what ``storable`` wrote as JSON; None for nothing. Text that an older version left unquoted stays text."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
