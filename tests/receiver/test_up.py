"""``up`` as a person meets it: real processes, started, used, killed and stopped."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import cli
from receiver.trial import foreign, free_ports

READY = "swiftia-receiver is ready: http://127.0.0.1:"
pytestmark = pytest.mark.slow


class Up:
    def __init__(self, folder: Path, eventually) -> None:
        port, sandbox_port = free_ports(2)
        self.env = {
            "DATA_DIR": str(folder / "data"),
            "PORT": str(port),
            "SANDBOX_PORT": str(sandbox_port),
            "SANDBOX_JOB_SECONDS": "1",
            "SANDBOX_RENDER_SECONDS": "1",
            "SANDBOX_SHORTS": "1",
            "RECONCILE_AFTER": "3s",
            "WORKERS": "2",
            "WEB_CONCURRENCY": "1",
            "LOG_FORMAT": "json",
        }
        self.log = folder / "up.log"
        self._eventually = eventually
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Up":
        # Not by asking /readyz: the web process of a run that was just killed may still answer.
        before = self.log.read_text().count(READY) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "receiver", "up"],
                env={**foreign(os.environ), **self.env},
                stdout=log,
                stderr=log,
            )
        self._eventually(
            lambda: self.log.read_text().count(READY) > before, timeout=120, message="not ready within 120 s"
        )
        return self

    def run(self, *words: str, **changes: str) -> Result:
        return CliRunner().invoke(cli, list(words), obj={**self.env, **changes}, catch_exceptions=False)

    def pids(self) -> list[int]:
        return [
            int(pid) for pid in re.findall(r'"pid": (\d+), "event": "process.(?:re)?started"', self.log.read_text())
        ]

    def sweep(self) -> None:
        """Leave nothing behind, not even where a test failed; a process id may be another's by now."""
        mark = f"DATA_DIR={self.env['DATA_DIR']}".encode()
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(120)


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def up(tmp_path: Path, eventually) -> Iterator[Up]:
    started = Up(tmp_path, eventually).start()
    yield started
    if started.process is not None and started.process.poll() is None:
        started.stop()
    started.sweep()


def test_it_serves_a_first_job_and_stops_in_order(up, eventually):
    submitted = up.run("submit", "dQw4w9WgXcQ", "--wait")
    assert submitted.exit_code == 0, submitted.output
    assert submitted.stdout.splitlines()[-1].endswith("finished, 1 of 1 videos")
    told = up.log.read_text()
    assert told.startswith("NO SWIFTIA_API_KEY: this runs against the built-in sandbox")
    eventually(lambda: up.run("check").exit_code == 0, timeout=20, every=0.5, message="check stays bad")
    assert "no callback waits for Redis" in up.run("check").stdout
    again = up.run("up")
    assert (again.exit_code, "stop process" in again.stderr) == (3, True)
    port_taken = up.run("up", DATA_DIR=f"{up.env['DATA_DIR']}-2")
    assert (port_taken.exit_code, "set another PORT" in port_taken.stderr) == (3, True)

    assert up.stop(signal.SIGINT) == 0
    assert not any(running(pid) for pid in up.pids())
    ended = re.findall(r'"service": "([a-z]+)[-a-z0-9]*", "pid": \d+, "code": 0', up.log.read_text())
    assert ended.index("web") > max(ended.index("clock"), len(ended) - 1 - ended[::-1].index("worker"))
    assert ended.index("valkey") > ended.index("web")
    assert up.run("jobs").exit_code == 4


def test_after_a_kill_it_starts_again_and_goes_on(up, eventually):
    job_id = up.run("submit", "stuck-video").stdout.strip()
    first = up.pids()
    up.stop(signal.SIGKILL)
    up.start()
    # The sandbox has lost its memory, so this job ends as one that Swiftia does not know any more.
    eventually(lambda: state(up, job_id) in ("parked", "failed"), timeout=60, every=0.5)
    done = up.run("submit", "dQw4w9WgXcQ", "--wait")
    assert done.exit_code == 0, done.output
    eventually(
        lambda: not any(running(pid) for pid in first), timeout=60, message="the killed one left processes behind"
    )


def state(up: Up, job_id: str) -> str:
    return str(json.loads(up.run("show", job_id, "--json").stdout)["state"])
