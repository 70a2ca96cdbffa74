"""Start one render. Swiftia has no idempotency key for it, so the intent is written down before the request is sent.

Between the intent and the answer lies the one window in which a crash, or a connection that breaks, leaves it open
whether a render was started and will be paid for. An attempt that finds an intent without an answer follows
``RENDER_WHEN_UNSURE``: start another one, or park until a person has looked.
"""

from workers import schedule
from workers.errors import CredentialsRefused, RateLimited, TooLarge, UnreadableAnswer, UpstreamUnavailable
from workers.outcomes import Done, Failed, Outcome, Retry
from workers.records import Event, Record, loaded
from workers.steps import Tools

_UNSURE = "whether Swiftia started this render is not known: {}. Retrying may start, and pay for, a second one"


def render(tools: Tools, record: Record) -> Outcome:
    unsure = record.state == "starting"
    if unsure and not tools.retry_when_unsure:
        return Failed(_UNSURE.format("the attempt before this one ended without an answer"))
    events: list[Event] = [("render.unsure", {"policy": "retry"})] if unsure else []
    fields = {"unsure": int(record.fields.get("unsure", "0")) + 1} if unsure else {}
    with tools.budget.slot("render", str(record.subject)):
        # The slot comes first: nothing but the request itself may lie inside the window.
        if not tools.ledger.move(record, "starting", hold=True, fields=fields, events=events):
            return Done()
        return _start(tools, record)


def _start(tools: Tools, record: Record) -> Outcome:
    try:
        render_id = tools.swiftia.start_render(loaded(record.fields["request"]))
    except UpstreamUnavailable as error:
        if error.sent:
            return _left_open(tools, error)
        tools.ledger.move(record, "planned", hold=True)
        raise
    except (UnreadableAnswer, TooLarge) as error:
        return _left_open(tools, error)
    except (RateLimited, CredentialsRefused):
        tools.ledger.move(record, "planned", hold=True)
        raise
    tools.ledger.move(
        record,
        "queued",
        wait_s=schedule.FIRST_LOOK_S,
        fields={"render_id": render_id, "started_at": record.now_ms, "tries": 0},
        events=[("render.started", {"render_id": render_id})],
    )
    return Done()


def _left_open(tools: Tools, error: UpstreamUnavailable | UnreadableAnswer | TooLarge) -> Outcome:
    if tools.retry_when_unsure:
        return Retry(error.message)
    return Failed(_UNSURE.format(error.message))
