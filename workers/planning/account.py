"""One organization's jobs from their coming to their last render noticed, on a clock that jumps from event to event.

Each class of requests is one method, named for the step that it stands for (``workers/steps``). Nothing fails here:
what crashes, refusals and outages cost comes on top.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from workers import forecast, looks
from workers.history import History
from workers.planning.lines import Entry, Lines
from workers.planning.load import Chance, Load, Takes
from workers.planning.tally import Tally
from workers.planning.window import Window
from workers.trail import Trail


@dataclass(slots=True)
class Job:
    """``entry``: its place in the line of ``reconcile``, while it has one. Times are milliseconds."""

    counts: bool
    came_ms: int
    takes_s: float
    renders: list[Takes]
    sent_ms: int = 0
    ends_ms: int = 0
    heard_ms: int | None = None
    entry: "Entry[Asked] | None" = None
    trail: Trail = field(default_factory=Trail)
    left: int = 0
    planned_ms: int = 0


@dataclass(slots=True)
class Render:
    job: Job
    takes: Takes
    sent_ms: int = 0
    begun_ms: int = 0
    trail: Trail = field(default_factory=Trail)
    looks: int = 0

    @property
    def ends_ms(self) -> int:
        return self.begun_ms + round(self.takes.seconds * 1000)


Asked = Job | Render


class Sent(NamedTuple):
    """``price_s``: what one more look costs those that waited when it left."""

    at_ms: int
    arrives_ms: int
    booked_ms: int
    price_s: float


class Account:
    """``jobs`` come; those after the first ``skip`` count, for by then it has learnt how long renders take."""

    def __init__(self, load: Load, chance: Chance, *, jobs: int, skip: int = 0) -> None:
        self._load = load
        self._chance = chance
        self._coming = jobs
        self._skip = skip
        self._window = Window(load.limit)
        self._lines: Lines[Asked] = Lines()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._now = 0
        self._renders, self._jobs = History(), History()
        self._tally = Tally()

    def run(self) -> Tally:
        """Return when every job has ended."""
        self._at(0, partial(self._come, 0))
        while True:
            event_ms = self._events[0][0] if self._events else None
            send_ms = self._send_ms()
            if event_ms is not None and (send_ms is None or event_ms <= send_ms):
                self._now, _, happen = heapq.heappop(self._events)
                happen()
            elif send_ms is not None:
                self._now = send_ms
                self._send()
            else:
                return self._tally

    def _at(self, at_ms: int, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(at_ms, self._now), self._count, happen))

    def _send_ms(self) -> int | None:
        """When the next request may leave, as far as is known now."""
        due_ms = self._lines.next_ms()
        if due_ms is None:
            return None
        return max(due_ms, self._now + self._window.wait_ms(self._now))

    def _send(self) -> None:
        if self._window.wait_ms(self._now) or (picked := self._lines.pick(self._now)) is None:
            return  # a request that is on its way takes longer than was thought
        name, asked = picked
        if isinstance(asked, Render):
            job = asked.job
        else:
            job, asked.entry = asked, None
        self._tally.sent_ms.append(self._now)
        self._tally.requests[name] += job.counts
        answer_ms = round(self._load.answer_s * 1000)
        sent = Sent(
            at_ms=self._now,
            arrives_ms=self._now + answer_ms // 2,
            booked_ms=self._window.take(self._now),
            price_s=self._lines.waiting(self._now) * self._load.limit.slot_s,
        )
        self._at(self._now + answer_ms, partial(self._answered, name, asked, sent))

    def _answered(self, name: str, asked: Any, sent: Sent) -> None:
        self._window.settle(sent.booked_ms, self._now)
        steps: dict[str, Callable[[Any, Sent], None]] = {
            "submit": self._submit,
            "fetch": self._fetch,
            "render": self._render,
            "watch": self._watch,
            "reconcile": self._fetch,
        }
        steps[name](asked, sent)

    def _come(self, number: int) -> None:
        # All of its luck is drawn here: what is done with it cannot change what comes later.
        renders = [self._load.render(self._chance) for _ in range(self._load.shorts)]
        job = Job(number >= self._skip, self._now, self._load.job_takes_s(self._chance), renders)
        if number == self._skip:
            self._tally.from_ms = self._now
        self._lines.add("submit", self._now, job)
        self._tally.jobs += job.counts
        if number + 1 < self._coming:
            self._at(self._now + round(self._load.gap_s(self._chance) * 1000), partial(self._come, number + 1))
        else:
            self._tally.until_ms, self._tally.waiting = self._now, self._lines.waiting(self._now)

    def _submit(self, job: Job, sent: Sent) -> None:
        job.sent_ms = sent.at_ms
        job.ends_ms = sent.arrives_ms + round(job.takes_s * 1000)
        job.entry = self._lines.add("reconcile", self._now + round(self._load.reconcile_after_s * 1000), job)
        self._at(job.ends_ms, partial(self._called, job))

    def _called(self, job: Job) -> None:
        job.heard_ms = self._now
        if job.entry is not None:
            self._lines.remove("reconcile", job.entry)
            job.entry = None
            self._lines.add("fetch", self._now, job)

    def _fetch(self, job: Job, sent: Sent) -> None:
        age_s = (sent.at_ms - job.sent_ms) / 1000
        heard_s = None if job.heard_ms is None else max(sent.at_ms - job.heard_ms, 0) / 1000
        if sent.arrives_ms >= job.ends_ms:
            seen = looks.lesson_of_job(job.trail, self._jobs, age_s=age_s, heard_s=heard_s)
            self._jobs = self._jobs.updated(seen)
            job.left, job.planned_ms = len(job.renders), self._now
            for n, takes in enumerate(job.renders):
                self._lines.add("render", self._now + n, Render(job, takes), planned_ms=self._now)
            return
        look = looks.at_job(
            job.trail,
            self._jobs,
            age_s=age_s,
            progress=None,
            heard_s=heard_s,
            reconcile_after_s=self._load.reconcile_after_s,
            price_s=sent.price_s,
        )
        job.trail = look.trail
        if job.heard_ms is not None:  # the callback came while the answer was on its way
            self._lines.add("fetch", self._now, job)
        else:
            job.entry = self._lines.add("reconcile", self._now + round(look.wait_s * 1000), job)

    def _render(self, render: Render, sent: Sent) -> None:
        render.sent_ms, render.begun_ms = sent.at_ms, sent.arrives_ms
        self._tally.started += render.job.counts
        wait_s = forecast.next_look(Trail(), self._renders, price_s=sent.price_s)
        self._look_again(render, wait_s)

    def _look_again(self, render: Render, wait_s: float) -> None:
        due_ms = self._now + round(wait_s * 1000)
        self._lines.add("watch", due_ms, render, planned_ms=render.job.planned_ms)

    def _watch(self, render: Render, sent: Sent) -> None:
        render.looks += 1
        age_s = (sent.at_ms - render.sent_ms) / 1000
        if sent.arrives_ms >= render.ends_ms:
            self._renders = self._renders.updated(forecast.observed(render.trail, self._renders, age_s=age_s))
            self._noticed(render)
            return
        progress = render.takes.progress((sent.arrives_ms - render.begun_ms) / 1000)
        look = looks.at_render(render.trail, self._renders, age_s=age_s, progress=progress, price_s=sent.price_s)
        render.trail = look.trail
        self._look_again(render, look.wait_s)

    def _noticed(self, render: Render) -> None:
        job, tally = render.job, self._tally
        job.left -= 1
        if not job.counts:
            return
        tally.looks.append(render.looks)
        tally.noticed_s.append((self._now - render.ends_ms) / 1000)
        tally.took_s.append(render.takes.seconds)
        if job.left == 0:
            tally.ended_s.append((self._now - job.came_ms) / 1000)
