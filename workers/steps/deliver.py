"""Tell the team's application of one event. Its id is the same in each try, so whoever has it already drops it."""

from collections.abc import Mapping

from workers.deliveries import Reply, pause
from workers.events import read_event
from workers.identifiers import DeliverySubject
from workers.outcomes import Done, Failed, Outcome, Wait
from workers.records import Record
from workers.steps import Tools

_GIVEN_UP = "not taken for {:g} hours, in {} tries, last because: {}"


def deliver(tools: Tools, record: Record) -> Outcome:
    subject = record.subject
    assert isinstance(subject, DeliverySubject)  # noqa: S101 - the ledger hands out no other for this step
    event = read_event(subject, record.fields, record.job)
    reply = tools.destinations.send(event, url=record.job.get("delivery_url"))
    tries = int(record.fields.get("sent", "0")) + 1
    seen = {"sent": tries, "status": "" if reply.status is None else reply.status}
    if not reply.problem:
        events = [("delivered", {"of": event.type})]
        tools.ledger.move(record, "delivered", fields=seen, drop=("next_at",), events=events)
        return Done()
    return _not_taken(tools, record, reply, seen)


def _not_taken(tools: Tools, record: Record, reply: Reply, seen: Mapping[str, object]) -> Outcome:
    wait_s = None if reply.over else _pause(tools, record, reply)
    if wait_s is None:
        tools.ledger.move(record, hold=True, fields=seen, drop=("next_at",))
        hours = record.age_s("since") / 3600
        return Failed(reply.problem if reply.over else _GIVEN_UP.format(hours, seen["sent"], reply.problem))
    fields = {**seen, "tries": record.tries + 1, "next_at": record.now_ms + round(wait_s * 1000)}
    said = {"tries": record.tries + 1, "status": reply.status, "reason": reply.problem}
    return Wait(wait_s, fields=fields, events=[("delivery.retry", said)])


def _pause(tools: Tools, record: Record, reply: Reply) -> float | None:
    return pause(
        record.tries + 1,
        age_s=record.age_s("since"),
        patience_s=tools.delivery_patience_s,
        first_s=tools.delivery_first_s,
        at_least_s=reply.wait_s,
        chance=tools.chance,
    )
