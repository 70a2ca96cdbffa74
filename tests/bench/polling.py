"""What everybody else does: look at each render after pauses that know nothing of it, within the same budget."""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from workers.limits import RateLimit

Pause = Callable[[int], float]
"""Seconds until the next look, by how many there were."""


def fixed(seconds: float) -> Pause:
    return lambda _: seconds


def exponential(first: float, cap: float) -> Pause:
    return lambda looks: float(min(cap, first * 2.0 ** min(looks, 30)))


@dataclass
class Poller:
    """Submits, starts every render and looks at it, one request at a time, never faster than the limit allows.

    It gets for nothing what callbacks tell: jobs end at once here. ``looks`` and ``seen`` are by render id.
    """

    url: str
    limit: RateLimit
    pause: Pause
    looks: dict[str, int] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    _sent: deque[float] = field(default_factory=deque)
    _due: list[tuple[float, int, str, Any]] = field(default_factory=list)
    _order: Any = field(default_factory=itertools.count)

    def run(self, jobs: int, seconds: float) -> None:
        """Return when every render was seen done, or after ``seconds``."""
        headers = {"Authorization": "Bearer sandbox-key"}
        over = time.monotonic() + seconds
        with httpx2.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False) as http:
            for number in range(jobs):
                self._add(0.0, "submit", f"polled-{number:04}")
            while self._due and time.monotonic() < over:
                due, _, what, of = heapq.heappop(self._due)
                time.sleep(max(0.0, min(due, over) - time.monotonic()))
                self._wait_for_a_slot()
                getattr(self, f"_{what}")(http, of)

    def _add(self, due: float, what: str, of: object) -> None:
        heapq.heappush(self._due, (due, next(self._order), what, of))

    def _wait_for_a_slot(self) -> None:
        window = self.limit.window_ms / 1000
        while len(self._sent) >= self.limit.requests and (wait := self._sent[0] + window - time.monotonic()) > 0:
            time.sleep(wait)
        if len(self._sent) >= self.limit.requests:
            self._sent.popleft()

    def _ask(self, ask: Callable[..., httpx2.Response], path: str, **options: object) -> dict[str, Any] | None:
        answer = ask(path, **options)
        # A request has arrived when its answer is there: nobody is refused for a late one.
        self._sent.append(time.monotonic())
        self.requests += 1
        return dict(answer.json()) if answer.is_success else None

    def _submit(self, http: httpx2.Client, video: str) -> None:
        made = self._ask(http.post, "/api/jobs", json={"functionName": "VideoShorts", "youtubeVideoId": video})
        self._add(0.0, "fetch", (made or {})["id"])

    def _fetch(self, http: httpx2.Client, job: str) -> None:
        for order in self._orders(http, job):
            self._add(0.0, "render", order)

    def _orders(self, http: httpx2.Client, job: str) -> list[dict[str, object]]:
        result = self._ask(http.get, f"/api/jobs/{job}") or {}
        shorts = result.get("shorts") or result["data"]["shorts"]
        return [{"id": job, "target": short["id"]} for short in shorts]

    def _render(self, http: httpx2.Client, order: dict[str, object]) -> None:
        self._add(time.monotonic() + self.pause(0), "look", self._started(http, order))

    def _started(self, http: httpx2.Client, order: dict[str, object]) -> str:
        render = str((self._ask(http.post, "/api/render", json=order) or {})["renderId"])
        self.looks[render] = 0
        return render

    def _look(self, http: httpx2.Client, render: str) -> None:
        if not self._is_done(http, render):
            self._add(time.monotonic() + self.pause(self.looks[render]), "look", render)

    def _is_done(self, http: httpx2.Client, render: str) -> bool:
        report = self._ask(http.get, f"/api/render/{render}") or {}
        self.looks[render] += 1
        done = report.get("type") == "done" or report.get("status") in ("done", "COMPLETED")
        if done:
            self.seen[render] = time.time()
        return done


class EachAlone(Poller):
    """As the known clients do: each job by itself, one request after the other, a pause after each round of looks.

    Whoever has been ready longest has the next slot, so all jobs go on alike.
    """

    def _submit(self, http: httpx2.Client, video: str) -> None:
        self._next(http, self._job(http, video))

    def _next(self, _: httpx2.Client, job: Iterator[float]) -> None:
        pause_s = next(job, None)
        if pause_s is not None:
            self._add(time.monotonic() + pause_s, "next", job)

    def _job(self, http: httpx2.Client, video: str) -> Iterator[float]:
        """Send one request at a time, and give the seconds until the next one."""
        made = self._ask(http.post, "/api/jobs", json={"functionName": "VideoShorts", "youtubeVideoId": video})
        yield 0.0
        orders = self._orders(http, (made or {})["id"])
        yield 0.0
        renders = []
        for order in orders:
            renders.append(self._started(http, order))
            yield 0.0 if len(renders) < len(orders) else self.pause(0)
        while renders:
            for render in (running := renders):
                if self._is_done(http, render):
                    renders = [other for other in renders if other != render]
                yield self.pause(self.looks[render]) if render == running[-1] else 0.0
