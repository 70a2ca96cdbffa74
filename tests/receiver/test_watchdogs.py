"""Each process of the service is stopped in its tracks, and replaced. The watchdog is short, the rest as in ``up``."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from receiver import server
from receiver.asking import ask
from receiver.trial import foreign, free_ports
from workers.notify import Listener, Notifier
from workers.settings import Settings

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WATCHDOG_S = 5
MAIN = """
import os, sys
from dataclasses import replace
from receiver import launch
from workers import logs
from workers.processes import ProcessService
from workers.supervisor import Supervisor

plan = launch.plan(os.environ, sandbox_allowed=False)
logs.configure(plan.settings)
children = [launch.web(plan), launch.clock(plan), *launch.workers(plan, {"upstream": 1})]
assert {child.watchdog_seconds for child in children} == {20}
Supervisor([[ProcessService(replace(child, watchdog_seconds=float(sys.argv[1]))) for child in children]]).run()
"""


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    log_path: Path
    settings: Settings
    redis: Redis

    def log(self) -> list[dict[str, object]]:
        *lines, _ = self.log_path.read_text().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def pids(self, name: str) -> list[int]:
        begun = ("process.started", "process.restarted")
        return [int(str(line["pid"])) for line in self.log() if line["event"] in begun and line["service"] == name]

    def works(self, name: str, since_ms: int) -> bool:
        """Tell whether the process of this name has done since then what it is for."""
        match name:
            case "web":
                return ask(self.settings, "/healthz") == 200
            case "clock":
                return int(self.redis.hget("sr:clock", "upstream") or 0) > since_ms
        pid = str(self.pids(name)[-1]).encode()
        return any(self.redis.hget(key, "pid") == pid for key in self.redis.smembers("rq:workers"))

    def now_ms(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds * 1000 + micros / 1000)


def environment(folder: Path, redis_url: str) -> dict[str, str]:
    (port,) = free_ports(1)
    return {
        **foreign(os.environ),
        "DATA_DIR": str(folder / "data"),
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "SWIFTIA_API_KEY": "a-key-of-tests",
        "SWIFTIA_BASE_URL": "http://127.0.0.1:1",
        "WEB_CONCURRENCY": "1",
        "LOG_FORMAT": "json",
    }


@pytest.fixture
def service(tmp_path: Path, redis_url: str, redis: Redis) -> Iterator[Service]:
    env = environment(tmp_path, redis_url)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", MAIN, str(WATCHDOG_S)], cwd=ROOT, env=env, stdout=log, stderr=log
        )
    yield Service(process, tmp_path / "log", Settings.from_env(env), redis)
    process.terminate()
    assert process.wait(60) == 0


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_each_process_that_is_stopped_is_replaced_and_works_again(service, eventually, record_property):
    names = ("web", "clock", "worker-upstream-1")
    eventually(lambda: all(service.pids(name) and service.works(name, 0) for name in names), timeout=60)
    for name in names:
        # It has been heard by now, or will be within a second of the work above.
        time.sleep(1.5)
        (pid,) = service.pids(name)
        stopped_ms, began = service.now_ms(), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda name=name: len(service.pids(name)) == 2, timeout=20)
        replaced = time.monotonic() - began
        record_property(name, f"replaced {replaced:.2f} s after SIGSTOP, with a watchdog of {WATCHDOG_S} s")
        assert not alive(pid)
        later = stopped_ms + WATCHDOG_S * 1000
        eventually(lambda name=name, later=later: service.works(name, later), timeout=30)
        record_property(name, f"works {time.monotonic() - began:.2f} s after SIGSTOP")
    wedged = [line["service"] for line in service.log() if line["event"] == "process.wedged"]
    assert wedged == list(names)


def test_an_arbiter_whose_loop_hangs_falls_silent(tmp_path, redis_url, eventually):
    # Its loop runs this hook before it makes a worker process, and waits in it for as long as the file is there.
    hook = tmp_path / "hook.py"
    hold = tmp_path / "hold"
    hook.write_text(
        "import os, time, pathlib\n"
        "from receiver import server\n"
        "from workers.notify import Notifier\n"
        "from workers.settings import Settings\n"
        "globals().update(server.options(Settings.from_env(os.environ)))\n"
        "wsgi_app = 'receiver.wsgi:app()'\n"
        "when_ready = server.telling(Notifier(os.environ['NOTIFY_SOCKET']), patience_s=2)\n"
        "def pre_fork(arbiter, worker):\n"
        f"    while pathlib.Path({str(hold)!r}).exists(): time.sleep(0.05)\n"
    )
    with contextlib.closing(Listener()) as listener:
        env = {**environment(tmp_path, redis_url), "NOTIFY_SOCKET": listener.address}
        with (tmp_path / "log").open("wb") as log:
            command = [sys.executable, "-m", "gunicorn", "-c", str(hook)]
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)  # noqa: S603
        try:
            settings = Settings.from_env(env)
            eventually(lambda: ask(settings, "/healthz") == 200, timeout=30)
            listener.heard()
            for _ in range(5):
                eventually(listener.heard, timeout=2)
            hold.touch()
            process.send_signal(signal.SIGTTIN)  # one worker process more
            eventually(lambda: silent_for(listener, 1.5), timeout=15)
            assert ask(settings, "/healthz") == 200, "its worker process goes on"
            hold.unlink()
            eventually(listener.heard, timeout=3)
        finally:
            hold.unlink(missing_ok=True)
            process.terminate()
            process.wait(40)


def silent_for(listener: Listener, seconds: float) -> bool:
    listener.heard()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if listener.heard():
            return False
    return True


def test_gunicorn_is_asked_only_where_somebody_listens(tmp_path):
    settings = Settings.from_env({"DATA_DIR": str(tmp_path)})
    assert "when_ready" not in server.options(settings)
    assert "when_ready" in server.options(settings, Notifier("/run/notify"))


@pytest.mark.parametrize(
    "words",
    [["clock", "--watched"], ["worker", "--lane", "files", "--count", "1"]],
)
def test_a_container_of_one_process_starts_it_again(words, tmp_path, redis_url, redis, eventually):
    name = {"clock": "clock", "worker": "worker-files-1"}[words[0]]
    env = environment(tmp_path, redis_url)
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "receiver", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)  # noqa: S603
    service = Service(process, tmp_path / "log", Settings.from_env(env), redis)
    try:
        eventually(lambda: service.pids(name) and service.works(name, 0), timeout=60)
        killed_ms = service.now_ms()
        os.kill(service.pids(name)[0], signal.SIGKILL)
        eventually(lambda: len(service.pids(name)) == 2 and service.works(name, killed_ms), timeout=60)
    finally:
        process.terminate()
        assert process.wait(60) == 0
