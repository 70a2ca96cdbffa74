"""What the service has to do during a run: jobs that an application submits, and callbacks that anybody may send."""

import contextlib
import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.chaos.machine import Machine
from workers.tokens import shared_token


@dataclass
class Item:
    """One submission. ``name``: what the API calls it, its job id or its ref, once that was answered."""

    video: str
    options: dict[str, object]
    name: str = ""
    refused: str = ""


@dataclass
class Load:
    """``per_second``: jobs and callbacks that begin in a second."""

    machine: Machine
    chance: random.Random
    key: str
    jobs_per_second: float
    callbacks_per_second: float
    name: str = "chaos"
    items: list[Item] = field(default_factory=list)
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    _enough: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for work, per_second in ((self._submit, self.jobs_per_second), (self._call, self.callbacks_per_second)):
            if per_second:
                # Two of each: one that waits for an answer does not hold up the other.
                for number in range(2):
                    seed = self.chance.random()
                    thread = threading.Thread(target=self._repeat, args=(work, per_second / 2, number, seed))
                    self._threads.append(thread)
                    thread.start()

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Any, per_second: float, number: int, seed: float) -> None:
        chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
        with httpx2.Client(base_url=self.machine.http.base_url, timeout=15, trust_env=False) as http:
            http.headers["Authorization"] = self.machine.http.headers["Authorization"]
            for turn in itertools.count():
                work(http, f"{number}-{turn:05}", chance)
                if self._enough.wait(chance.expovariate(per_second)):
                    return

    def _submit(self, http: httpx2.Client, label: str, chance: random.Random) -> None:
        item = Item(f"{self.name}-{label}", {"async": chance.random() < 0.5})
        self.items.append(item)
        self.ask(http, item)

    def ask(self, http: httpx2.Client, item: Item, patience: float = 20) -> None:
        """Submit with an Idempotency-Key until there is an answer that names the job, or its ref."""
        body = {"functionName": "VideoShorts", "youtubeVideoId": item.video}
        headers = {"Idempotency-Key": f"key-{item.video}"}
        if item.options["async"]:
            headers["Prefer"] = "respond-async"
        deadline = time.monotonic() + patience
        while not item.name and not item.refused and time.monotonic() < deadline:
            with contextlib.suppress(httpx2.HTTPError, ValueError):
                self._take(item, http.post("/api/jobs", json=body, headers=headers))
            time.sleep(0.2)

    def _take(self, item: Item, answer: httpx2.Response) -> None:
        said = answer.json()
        if answer.status_code < 300:
            item.name = said["id"] or said["ref"]
        elif answer.status_code < 500 and answer.status_code not in (409, 429):
            item.refused = answer.text

    def _call(self, http: httpx2.Client, label: str, chance: random.Random) -> None:
        """Call about a job that is known, on the shared URL, with a body that nobody sent before."""
        known = [item.name for item in list(self.items) if len(item.name) < 22]
        if not known:
            return
        job = chance.choice(known[-60:])  # a job keeps its newest 200
        self.sent += 1
        with contextlib.suppress(httpx2.HTTPError, ValueError):
            answer = http.post(f"/webhooks/swiftia/{shared_token([self.key])}", json={"id": job, "n": label})
            if answer.status_code == 202:
                self.acknowledged.append((job, answer.json()["receipt"]))
