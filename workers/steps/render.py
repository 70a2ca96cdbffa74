"""Start one render. Swiftia has no idempotency key for it, so the intent is written down before the request is sent.

Between the intent and the answer lies the one window in which a crash, or a connection that breaks, leaves it open
whether a render was started and will be paid for. An attempt that finds an intent without an answer follows
``RENDER_WHEN_UNSURE``: start another one, or park until a person has looked.
"""

from workers import forecast
from workers.errors import CredentialsRefused, RateLimited, TooLarge, UnreadableAnswer, UpstreamUnavailable
from workers.memory import RENDERS
from workers.outcomes import Done, Failed, Outcome, Retry
from workers.records import Event, Record, loaded
from workers.steps import Tools
from workers.steps.watch import clip_of
from workers.trail import Trail
from workers.upstreams import Upstream

UNSURE = "whether Swiftia started this render is not known: {}. Retrying may start, and pay for, a second one"


def render(tools: Tools, record: Record) -> Outcome:
    unsure = record.state == "starting"
    if unsure and not tools.retry_when_unsure:
        return Failed(UNSURE.format("the attempt before this one ended without an answer"))
    events: list[Event] = [("render.unsure", {"policy": "retry"})] if unsure else []
    fields = {"unsure": int(record.fields.get("unsure", "0")) + 1} if unsure else {}
    upstream = tools.upstream(record)
    # What does not need the answer is asked before: each moment between the answer and its record is one too many.
    first_look_s = forecast.next_look(
        Trail(),
        tools.memory.of(RENDERS, record.account),
        clip_s=clip_of(record),
        price_s=tools.ledger.waiting(record) * upstream.budget.limit.slot_s,
    )
    try:
        with upstream.budget.slot("render", str(record.subject)):
            # The slot comes first: nothing but the request itself may lie inside the window.
            if tools.ledger.intend(record, "starting", fields=fields, events=events):
                _start(tools, upstream, record, first_look_s)
    except UpstreamUnavailable as error:
        if not error.sent:
            raise
        return _left_open(tools, error)
    except (UnreadableAnswer, TooLarge) as error:
        return _left_open(tools, error)
    return Done()


def _start(tools: Tools, upstream: Upstream, record: Record, first_look_s: float) -> None:
    try:
        render_id = upstream.swiftia.start_render(loaded(record.fields["request"]))
    except UpstreamUnavailable as error:
        if not error.sent:
            tools.ledger.move(record, "planned", hold=True)
        raise
    except (RateLimited, CredentialsRefused):
        tools.ledger.move(record, "planned", hold=True)
        raise
    tools.ledger.move(
        record,
        "queued",
        wait_s=first_look_s,
        fields={"render_id": render_id, "started_at": record.now_ms, "tries": 0, "trail": Trail().as_json()},
        events=[("render.started", {"render_id": render_id})],
    )


def _left_open(tools: Tools, error: UpstreamUnavailable | UnreadableAnswer | TooLarge) -> Outcome:
    if tools.retry_when_unsure:
        return Retry(error.message)
    return Failed(UNSURE.format(error.message))
