"""Redis hangs while callbacks keep coming: all are answered 202, and all are in the ledger afterwards, once each."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.chaos.balance import Balance
from tests.chaos.machine import Machine
from tests.chaos.patient import KEY, Say, patient, quiet
from tests.chaos.recovery import percentile
from workers.sandbox import SandboxConfig
from workers.tokens import shared_token

CALM = SandboxConfig(port=0, rate_limit="200/1s", shorts=1, job_seconds=0.3, render_seconds=0.3, queue_seconds=0)
PER_SECOND = 50
JOBS = 40
_BEFORE_S, _AFTER_S = 5.0, 5.0
_DRAINED_S = 120.0


@dataclass
class Stream:
    machine: Machine
    jobs: list[str]
    codes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    receipts: list[tuple[str, str]] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        began = time.monotonic()

        def send(number: int) -> None:
            time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            job, sent = self.jobs[number % len(self.jobs)], time.monotonic()
            answer = http.post(f"/webhooks/swiftia/{shared_token([KEY])}", json={"id": job, "n": number})
            self.seconds.append(time.monotonic() - sent)
            self.codes.append(answer.status_code)
            self.receipts.append((job, answer.json().get("receipt", "")))

        with (
            httpx2.Client(base_url=self.machine.http.base_url, timeout=30, trust_env=False) as http,
            ThreadPoolExecutor(16) as pool,
        ):
            list(pool.map(send, range(round(PER_SECOND * seconds))))


def run(folder: Path, seed: int, seconds: int, say: Say) -> Balance:
    del seed  # nothing here is left to chance
    found = Balance()
    with patient(folder, CALM) as service:
        machine = service.machine
        jobs = machine.submit_many([f"away-{number}" for number in range(JOBS)])
        machine.wait_for(lambda: machine.all_settled(JOBS) and quiet(machine), 120)
        stream = Stream(machine, jobs)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(stream.run, _BEFORE_S + seconds + _AFTER_S)
            time.sleep(_BEFORE_S)
            valkey = machine.pick("valkey", random.Random(0))  # noqa: S311 - there is one
            os.kill(valkey or 0, signal.SIGSTOP)
            say(f"Redis hangs for {seconds} s under {PER_SECOND} callbacks a second")
            time.sleep(seconds)
            os.kill(valkey or 0, signal.SIGCONT)
            back = time.monotonic()
            running.result()
        machine.wait_for(lambda: quiet(machine), _DRAINED_S)
        drained = time.monotonic() - back
        kept = [(job, entry["receipt"]) for job in jobs for entry in machine.job(job)["callbacks"]]
        ours = [pair for pair in kept if pair in set(stream.receipts)]
        found.must(set(stream.codes) == {202}, f"answers other than 202: {sorted(set(stream.codes) - {202})}")
        found.must(set(ours) == set(stream.receipts), f"{len(set(stream.receipts) - set(ours))} callbacks are gone")
        found.must(len(ours) == len(set(ours)), "some callbacks are there twice")
        found.figures["callbacks"] = f"{stream.codes.count(202)} of {len(stream.codes)} answered 202, {len(ours)} kept"
        shares = ", ".join(f"p{round(s * 100)} {percentile(stream.seconds, s) * 1000:.0f} ms" for s in (0.5, 0.99, 1))
        found.figures["answered after"] = shares
        found.figures["drained"] = f"{drained:.1f} s after Redis was back, all {JOBS} jobs ended"
        return found
