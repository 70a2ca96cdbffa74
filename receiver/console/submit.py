"""``/submit``: a form, what exactly would be sent and what it would cost, and then the submission itself.

The look before is the same that ``POST /api/jobs?dry_run=true`` takes. The Idempotency-Key is made there, so that a
form that is sent twice submits one job.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from flask import Response, request

from receiver.bodies import checked
from receiver.console import shell
from receiver.console.draft import FIELDS, draft, field_of
from receiver.console.forms import Form
from receiver.console.gate import Gate, gone_to
from receiver.console.visitors import Visitor
from receiver.console.words import duration
from receiver.problems import kind_of
from receiver.requests import Order, order_of
from workers.errors import Busy, InvalidInput, LedgerUnavailable, ServiceError
from workers.guards import PRESETS, SHORTS
from workers.planning.cost import Cost, cost
from workers.rules import RenderRule, rule_for
from workers.submissions import Submissions
from workers.upstreams import Upstreams

# Of a job whose shorts Swiftia chooses the cost is shown for so many of them.
TYPICAL_SHORTS: Final = 5
_KEY_BYTES: Final = 18
_LONGEST_KEY: Final = 100


@dataclass(frozen=True, slots=True)
class Preview:
    """``request``: what would be sent, and ``own``: what is kept here beside it, as JSON. ``notes``: what nobody here
    knows of it. ``takes``: how long its requests take to leave, for so many ``shorts``.
    """

    request: str
    own: str
    notes: Sequence[str]
    account: str
    cost: Cost
    shorts: int
    takes: str


class SubmitPages:
    """``random``: gives n unguessable bytes. ``dry_run``: nothing is submitted here, only looked at."""

    def __init__(
        self,
        submissions: Submissions,
        upstreams: Upstreams,
        *,
        random: Callable[[int], bytes],
        dry_run: bool,
    ) -> None:
        self._submissions = submissions
        self._upstreams = upstreams
        self._random = random
        self._dry_run = dry_run

    def add_to(self, gate: Gate) -> None:
        gate.show("/submit", self.empty, to_look=False)
        gate.act("/submit", self.preview)
        gate.act("/submit/send", self.send)

    def empty(self, visitor: Visitor) -> Response:
        given = {name: request.args.get(name, "")[:2000] for name in ("source", "account")}
        return self._form(visitor, given, {})

    def preview(self, visitor: Visitor, form: Form) -> Response:
        if form.get("step") == "change":
            return self._form(visitor, form, {})
        looked = self._looked_over(form)
        if not isinstance(looked, Order):
            return self._form(visitor, form, looked)
        key = f"console-{self._random(_KEY_BYTES).hex()}"
        return self._preview(visitor, form, looked, key)

    def send(self, visitor: Visitor, form: Form) -> Response:
        looked = self._looked_over(form)
        if not isinstance(looked, Order):
            return self._form(visitor, form, looked)
        key = form.get("key", "")
        if not (key.isascii() and key.isprintable() and 0 < len(key) <= _LONGEST_KEY):
            raise InvalidInput("the form has no key of its own any more; look at what would be sent once more")
        if self._dry_run:
            return self._preview(visitor, form, looked, key)
        try:
            return gone_to(f"/jobs/{self._submitted(looked, key)}")
        except InvalidInput:
            raise
        except ServiceError as error:
            return self._preview(visitor, form, looked, key, error)

    def _submitted(self, order: Order, key: str) -> str:
        """Return the job's id, or its ref where it waits for its turn."""
        try:
            done = self._submit(order, key, wait=True)
        except Busy:  # nothing has left: it goes out by itself when its turn comes
            done = self._submit(order, key, wait=False)
        return done

    def _submit(self, order: Order, key: str, *, wait: bool) -> str:
        submission = self._submissions.submit(
            order.request,
            metadata=order.metadata,
            render=order.render,
            idempotency_key=key,
            wait=wait,
            account=order.account,
            delivery=order.delivery,
        )
        return submission.job_id or submission.ref

    def _looked_over(self, form: Form) -> Order | dict[str, str]:
        """Return what is asked for, or what is wrong with it, by field."""
        found = draft(form)
        if found.problems:
            return found.problems
        try:
            order = order_of(checked(found.body))
            self._submissions.look_over(order.request, render=order.render, account=order.account)
        except InvalidInput as error:
            return {field_of(error): error.message}
        return order

    def _form(self, visitor: Visitor, given: Mapping[str, str], problems: Mapping[str, str]) -> Response:
        return shell.page(
            visitor,
            "submit.html",
            given={name: given.get(name, "") for name in FIELDS},
            problems=problems,
            presets=[(name, name.title()) for name in PRESETS],
            function=SHORTS,
            accounts=[(name, name) for name in sorted(self._upstreams.accounts.by_name) if name],
            whose=self._upstreams.first,
            dry_run=self._dry_run,
            status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        )

    def _preview(
        self, visitor: Visitor, form: Form, order: Order, key: str, error: ServiceError | None = None
    ) -> Response:
        kind = None if error is None else kind_of(error)
        return shell.page(
            visitor,
            "submit_preview.html",
            given={name: form.get(name, "") for name in FIELDS},
            key=key,
            preview=self._previewed(order),
            dry_run=self._dry_run,
            title=kind and kind.title,
            refusal=error and kind and (kind.detail or error.message + kind.advice),
            ref=error and error.values.get("ref"),
            status=kind.status if kind else HTTPStatus.OK,
        )

    def _previewed(self, order: Order) -> Preview:
        looked = self._submissions.look_over(order.request, render=order.render, account=order.account)
        way = self._upstreams.of(looked.account)
        rule = rule_for(way.rules, looked.function, order.render)
        shorts = expected(order.request, rule)
        wanted = cost(shorts=shorts, given=self._given(looked.account), slot_s=way.budget.limit.slot_s)
        count = TYPICAL_SHORTS if shorts is None else shorts
        own = {"metadata": order.metadata, "render": rule.model_dump(exclude_unset=True), "delivery": order.delivery}
        kept = {name: value for name, value in own.items() if value not in (None, {})}
        return Preview(
            request=_pretty(looked.request),
            own=_pretty(kept) if kept else "",
            notes=looked.notes,
            account=looked.account,
            cost=wanted,
            shorts=count,
            takes=duration(wanted.seconds(count)),
        )

    def _given(self, account: str) -> Mapping[str, int]:
        try:
            return self._upstreams.of(account).budget.state().given
        except LedgerUnavailable:
            return {}


def expected(asked: Mapping[str, object], rule: RenderRule) -> int | None:
    """How many shorts will be rendered, None where the result decides."""
    options = asked.get("options")
    cut = options.get("predefinedShorts") if isinstance(options, dict) else None
    there = len(cut) if isinstance(cut, list) and cut else None
    match rule.shorts:
        case "none":
            return 0
        case "all":
            return there
        case int(first):
            return first if there is None else min(first, there)
        case ids:
            return len(ids) if there is None else min(len(ids), there)


def _pretty(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
