"""What the team's application is told: one typed event, and its form as JSON. Pure.

A handler (``HANDLER``, or an entry point of the group ``swiftia_receiver.handlers``) is called with an ``Event``::

    from workers.events import Event, Later

    def handle(event: Event) -> None:
        if event.type == "job.finished": ...

Returning means that it was taken. ``Later`` asks for another try, as any other exception does; ``Unwanted`` for none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.documents import number
from workers.identifiers import DeliverySubject, JobSubject
from workers.moments import moment
from workers.records import loaded


class Later(Exception):
    """Not now. ``seconds``: to stay away at least."""

    def __init__(self, why: str = "", *, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Unwanted(Exception):
    """This event will never be taken: it is parked at once."""


@dataclass(frozen=True, slots=True)
class Event:
    """``id`` is the same in every try: whoever has seen it may drop it. ``at``: when it happened, ISO 8601 in UTC.

    ``job_id`` is None for a submission that Swiftia refused or that may have got lost. ``metadata``: as it was given
    with the job. ``data``: what belongs to the kind of event, see deploy/deliveries.md.
    """

    id: str
    type: str
    at: str
    job_id: str | None
    ref: str | None
    account: str | None
    metadata: Any
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The payload of Standard Webhooks: ``{type, timestamp, data}``."""
        job: dict[str, object] = {"id": self.job_id, "ref": self.ref, "metadata": self.metadata}
        if self.account:
            job["account"] = self.account
        return {"type": self.type, "timestamp": self.at, "data": {**job, **self.data}}

    def as_bytes(self) -> bytes:
        """The same bytes in each try, as long as what it tells of is the same."""
        return json.dumps(self.as_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def read_event(subject: DeliverySubject, fields: Mapping[str, str], job: Mapping[str, str]) -> Event:
    """Make it from a delivery's own record and that of its job, or of its submission."""
    owner = subject.owner
    facts: dict[str, Any] = loaded(fields.get("facts")) or {}
    about = {
        "function": job.get("function"),
        "title": job.get("title"),
        "cost": number(job.get("cost")),
        "created_at": moment(job.get("created")),
    }
    return Event(
        id=fields["id"],
        type=fields["event"],
        at=moment(fields.get("created")) or "",
        job_id=owner.job_id if isinstance(owner, JobSubject) else None,
        ref=job.get("ref") if isinstance(owner, JobSubject) else owner.ref,
        account=job.get("account"),
        metadata=loaded(job.get("metadata")),
        data={**about, **_told(fields["event"], facts, owner)},
    )


def _told(event: str, facts: dict[str, Any], owner: object) -> dict[str, Any]:
    if not event.startswith("render."):
        return facts
    # The short's id keeps its JSON type, whatever Lua would have made of it: it comes as text.
    render = {**facts, "short": loaded(facts.get("short"))}
    if event == "render.kept" and "url" not in facts:
        render["file"] = f"/api/jobs/{owner}/renders/{facts.get('n')}/file"
    return {"render": render}
