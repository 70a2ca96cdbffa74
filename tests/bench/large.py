"""``python -m tests.bench.large [MIB]``: one large file (2048 MiB) brought home by the service, to a disk and to S3.

Its connection is cut after a quarter, and the process that fetches it is killed after the half. Then the file has to be
whole, no more than what the kill cost fetched twice, and no process of the service larger than ``MOST_RSS``.
"""

import contextlib
import hashlib
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.machine import Machine, free_port, prepared, send
from tests.workers.s3server import S3Server, credentials
from tests.workers.wire import Plan, Wire

MIB = 1 << 20
MOST_RSS = 150 * MIB
MARKS = 9 * MIB
BUCKET = "large"


@dataclass
class Peaks:
    """The largest resident size of each kind of process, in bytes, read where the kernel keeps it (VmHWM)."""

    machine: Machine
    of: dict[str, int] = field(default_factory=dict)

    def watch(self, over: threading.Event) -> None:
        while not over.wait(0.1):
            for pid, kind in self.machine.processes().items():
                self.of[kind] = max(self.of.get(kind, 0), peak(pid))


def peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) * 1024
    return 0


@contextlib.contextmanager
def service(folder: Path, size: int, env: dict[str, str]) -> Iterator[tuple[Machine, Wire]]:
    """Run ``up`` with a sandbox whose films come over a wire."""
    port = free_port()
    with Wire(port) as wire:
        machine = prepared(
            folder,
            SANDBOX_PORT=str(port),
            SANDBOX_PUBLIC_URL=wire.url,
            SANDBOX_FILM_BYTES=str(size),
            SANDBOX_SHORTS="1",
            SANDBOX_JOB_SECONDS="0",
            SANDBOX_RENDER_SECONDS="0.1",
            SANDBOX_QUEUE_SECONDS="0",
            SANDBOX_RATE_LIMIT="100/1s",
            MIN_FREE_BYTES="64M",
            WORKERS="2",
            **env,
        )
        machine.start()
        try:
            yield machine, wire
        finally:
            machine.end()


def bring(machine: Machine, wire: Wire, size: int) -> dict[str, Any]:
    """Carry one job through, with both troubles, and measure."""
    held = Plan(down=size // 4, hold=threading.Event())
    wire.plans += [Plan(down=size // 4), held]
    peaks, over = Peaks(machine), threading.Event()
    watching = threading.Thread(target=peaks.watch, args=(over,))
    watching.start()
    began = time.monotonic()
    job_id = machine.submit("one-large-file")["id"]
    assert held.held.wait(600), "the second connection did not come that far"
    for pid, kind in machine.processes().items():
        if kind == "work-horse":
            send(pid, 9)
    machine.wait_for(lambda: machine.job(job_id)["state"] == "finished", 900, every=0.5)
    took = time.monotonic() - began
    over.set()
    watching.join()
    (render,) = machine.job(job_id)["renders"]
    return {"job": job_id, "render": render, "seconds": took, "down": wire.down, "peaks": peaks.of}


def judge(where: str, found: dict[str, Any], machine: Machine, size: int, sha256: str) -> bool:
    theirs = machine.books()["renders"][found["render"]["render_id"]]
    again = found["down"] - size
    largest = max(rss for kind, rss in found["peaks"].items() if kind in ("worker", "work-horse", "clock"))
    whole = sha256 == found["render"]["sha256"] == theirs["sha256"] and found["render"]["size"] == size
    peaks = ", ".join(f"{kind} {rss / MIB:.0f} MiB" for kind, rss in sorted(found["peaks"].items()))
    say(f"{where}: {size / MIB:.0f} MiB in {found['seconds']:.1f} s, {again / MIB:.1f} MiB of it fetched twice")
    say(f"  {'whole' if whole else 'NOT WHOLE'} by SHA-256; peaks: {peaks}")
    return whole and again <= MARKS and largest <= MOST_RSS


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def to_disk(folder: Path, size: int) -> bool:
    with service(folder / "disk", size, {}) as (machine, wire):
        found = bring(machine, wire, size)
        path = folder / "disk" / "data" / "artifacts" / "jobs" / found["job"] / "renders" / "1.mp4"
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return judge("disk", found, machine, size, sha256)


def to_s3(folder: Path, size: int) -> bool:
    server = S3Server.start(folder / "s3.log")
    try:
        server.make(BUCKET)
        env = {**credentials(server.url), "STORAGE_URL": f"s3://{BUCKET}/prefix"}
        with service(folder / "s3", size, env) as (machine, wire):
            found = bring(machine, wire, size)
            digest = hashlib.sha256()
            url = f"/{BUCKET}/prefix/jobs/{found['job']}/renders/1.mp4"
            with server.http.stream("GET", url, timeout=600) as answer:
                for piece in answer.iter_raw():
                    digest.update(piece)
            left = [*server.uploads(BUCKET), *(folder / "s3" / "data" / "staging").iterdir()]
            return judge("S3", found, machine, size, digest.hexdigest()) and not left
    finally:
        server.stop()


def main() -> int:
    size = int(sys.argv[1] if len(sys.argv) > 1 else "2048") * MIB
    say(f"One file of {size // MIB} MiB, cut off after a quarter, its process killed after half; {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as folder:
        results = [to_disk(Path(folder), size), to_s3(Path(folder), size)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
