"""The supervisor over real processes. It runs in a process of its own, since it takes over that one's signals."""

import contextlib
import doctest
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from workers import supervisor as supervisor_module
from workers.notify import Listener, Notifier
from workers.processes import Child, ProcessService
from workers.valkey import EmbeddedValkey

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

MAIN = """
import json, sys
from pathlib import Path
import structlog
from workers.errors import AlreadyRunning
from workers.processes import Child, ProcessService
from workers.notify import Notifier
from workers.supervisor import Supervisor
from workers.valkey import EmbeddedValkey

structlog.configure(processors=[structlog.processors.JSONRenderer()])

def service(spec):
    if "valkey" in spec:
        return EmbeddedValkey(Path(spec["valkey"]), watchdog_seconds=spec.get("watchdog_seconds", 60))
    ready = spec.pop("ready_file", None)
    return ProcessService(Child(**spec, ready=Path(ready).exists if ready else None))

options = json.loads(sys.argv[2])
options["notifier"] = Notifier(options.get("notifier"))
try:
    Supervisor([[service(spec) for spec in rank] for rank in json.loads(sys.argv[1])], **options).run()
except AlreadyRunning as error:
    sys.exit(f"refused: {error}")
"""

# Writes "<event> <name> <pid>" lines to a journal, as one write each.
CHILD = """
import os, signal, socket, sys, time
journal = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
name, mode = sys.argv[2:]
def note(event, pid=os.getpid()):
    os.write(journal, f"{event} {name} {pid}\\n".encode())
def stop(*_):
    note("stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else stop)
if mode in ("parent", "stubborn"):
    horse = os.fork()
    if horse == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.setpgrp()
        note("horse", os.getpid())
        time.sleep(600)
    else:
        note("start")
else:
    note("start")
if mode == "leaves":
    sys.exit(0)
while mode == "beats":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(0.2)
while True:
    signal.pause()
"""


@dataclass
class Run:
    folder: Path
    process: subprocess.Popen

    def journal(self):
        """Return what the children wrote: (event, name, pid)."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "journal").read_text().splitlines()
            return [(event, name, int(pid)) for event, name, pid in map(str.split, lines)]
        return []

    def pids(self, event, name):
        return [pid for found, who, pid in self.journal() if (found, who) == (event, name)]

    def log(self):
        """Return what the supervisor logged, whole lines only: it may be writing one."""
        *lines, _ = (self.folder / "log").read_text().split("\n")
        return [json.loads(line) for line in lines]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def child(folder, name, mode="waits", **more):
    command = [sys.executable, "-I", "-S", "-c", CHILD, str(folder / "journal"), name, mode]
    return {"name": name, "command": command, "stop_seconds": 10, **more}


@pytest.fixture
def supervise(tmp_path):
    runs = []

    def start(*ranks, **options):
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, "-c", MAIN, json.dumps(ranks), json.dumps(options)]
            process = subprocess.Popen(  # noqa: S603 - our own supervisor
                command, cwd=ROOT, stdout=log, stderr=subprocess.PIPE, start_new_session=True
            )
        runs.append(Run(tmp_path, process))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGCONT)
            run.stop()
        run.process.stderr.close()


def alive(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_the_examples_of_the_module_hold():
    assert doctest.testmod(supervisor_module).failed == 0


def test_a_killed_child_is_started_again_and_soon(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "web"), child(tmp_path, "clock")])
    first = eventually(lambda: run.pids("start", "web"))[0]
    eventually(lambda: run.pids("start", "clock"))
    os.kill(first, signal.SIGKILL)
    second = eventually(lambda: run.pids("start", "web")[1:], timeout=2)[0]
    assert alive(second)
    assert len(run.pids("start", "clock")) == 1
    assert run.stop() == 0
    events = [(line["event"], line["service"], line.get("pid"), line.get("code")) for line in run.log()]
    assert ("process.started", "web", first, None) in events
    assert ("process.exited", "web", first, -signal.SIGKILL) in events
    assert ("process.restarted", "web", second, None) in events
    assert ("process.exited", "web", second, 0) in events


def test_an_exit_with_zero_is_an_end_too_and_often_is_slowed_down(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "brief", "leaves")])
    eventually(lambda: run.pids("start", "brief"))
    began = time.monotonic()
    eventually(lambda: len(run.pids("start", "brief")) == 4)
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4 - 0.1


def test_order_a_rank_waits_until_the_one_before_is_ready(supervise, tmp_path, eventually):
    ready = tmp_path / "ready"
    ranks = [[child(tmp_path, "first", ready_file=str(ready))], [child(tmp_path, "second")], [child(tmp_path, "third")]]
    run = supervise(*ranks)
    os.kill(eventually(lambda: run.pids("start", "first"))[0], signal.SIGKILL)
    eventually(lambda: len(run.pids("start", "first")) == 2, message="a child that is not ready yet is kept alive too")
    assert {name for _, name, _ in run.journal()} == {"first"}
    ready.touch()
    eventually(lambda: run.pids("start", "second") and run.pids("start", "third"))
    run.stop()
    order = [(event, name) for event, name, _ in run.journal()][2:]
    assert sorted(order[:2]) == [("start", "second"), ("start", "third")]
    assert order[2:] == [("stop", "third"), ("stop", "second"), ("stop", "first")]


def test_what_a_killed_child_leaves_behind_is_killed_before_the_next_one(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "worker", "parent")])
    horse = eventually(lambda: run.pids("horse", "worker"))[0]
    worker = eventually(lambda: run.pids("start", "worker"))[0]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: len(run.pids("start", "worker")) == 2)
    assert not alive(horse)
    eventually(lambda: len(run.pids("horse", "worker")) == 2)
    run.stop()
    assert not any(alive(pid) for _, _, pid in run.journal())


def test_a_child_that_does_not_listen_is_killed_with_its_descendants(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "calm")], [child(tmp_path, "deaf", "stubborn", stop_seconds=0.3)])
    eventually(lambda: {"horse", "start"} <= {event for event, name, _ in run.journal() if name == "deaf"})
    assert run.stop() == 0
    eventually(lambda: not any(alive(pid) for _, _, pid in run.journal()))
    assert [line["service"] for line in run.log() if line["event"] == "process.killed"] == ["deaf"]
    assert run.pids("stop", "calm")


def test_a_rank_stops_together(supervise, tmp_path, eventually):
    deaf = [child(tmp_path, f"deaf{n}", "stubborn", stop_seconds=0.5) for n in range(3)]
    run = supervise(deaf)
    eventually(lambda: len({name for event, name, _ in run.journal() if event == "start"}) == 3)
    run.stop()
    events = [line["event"] for line in run.log()]
    assert events[3:] == ["process.killed"] * 3 + ["process.exited"] * 3


def test_children_go_with_a_supervisor_that_is_killed(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "one"), child(tmp_path, "two")])
    eventually(lambda: len(run.journal()) == 2)
    run.process.kill()
    eventually(lambda: not any(alive(pid) for _, _, pid in run.journal()))
    assert run.pids("stop", "one"), "they get a SIGTERM, not a SIGKILL"


def test_ctrl_c_reaches_only_the_supervisor(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "one")], [child(tmp_path, "two")])
    eventually(lambda: len(run.journal()) == 2)
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.process.wait(timeout=30) == 0
    assert [(event, name) for event, name, _ in run.journal()][2:] == [("stop", "two"), ("stop", "one")]


def test_valkey_is_a_service_like_the_others(supervise, tmp_path, eventually):
    server = EmbeddedValkey(tmp_path / "valkey")
    run = supervise([{"valkey": str(server.directory)}], [child(tmp_path, "web")])
    eventually(lambda: run.pids("start", "web"))
    first = next(line["pid"] for line in run.log() if line["service"] == "valkey")
    with contextlib.closing(Redis.from_url(server.url)) as redis:
        redis.set("key", "value")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: "process.restarted" in [line["event"] for line in run.log()])
        eventually(server.ready)
        assert redis.get("key") == b"value"
    assert run.stop() == 0
    ended = [(line["service"], line["code"]) for line in run.log() if line["event"] == "process.exited"]
    assert ended == [("valkey", -signal.SIGKILL), ("web", 0), ("valkey", 0)]


def test_a_folder_that_is_taken_ends_the_run_with_the_reason(supervise, tmp_path):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        run = supervise([child(tmp_path, "one")], [{"valkey": str(server.directory)}], [child(tmp_path, "web")])
        assert run.process.wait(timeout=30) == 1
        assert f"refused: another server holds {server.directory}" in run.process.stderr.read().decode()
        assert server.ready()
    finally:
        server.stop()
    assert not any(alive(pid) for _, _, pid in run.journal())
    assert run.pids("start", "web") == []


def test_an_unknown_command_is_tried_again_like_any_other_end(supervise, eventually):
    run = supervise([{"name": "typo", "command": ["/no/such/command"]}])
    eventually(lambda: [line["event"] for line in run.log()].count("process.exited") >= 2)
    assert {line["code"] for line in run.log() if line["event"] == "process.exited"} == {127}
    assert run.stop() == 0


# Falling silent


def wedged(run):
    return [line["service"] for line in run.log() if line["event"] == "process.wedged"]


def after(seconds, eventually):
    """Wait for a moment that only the clock brings."""
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began >= seconds, timeout=seconds + 5)


def test_a_process_that_fell_silent_is_replaced(supervise, tmp_path, eventually, record_property):
    run = supervise([child(tmp_path, "hangs", "beats", watchdog_seconds=2), child(tmp_path, "other")])
    first = eventually(lambda: run.pids("start", "hangs"))[0]
    after(1, eventually)  # it has been heard by then
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()
    eventually(lambda: len(run.pids("start", "hangs")) == 2, timeout=8)
    record_property("replaced", f"{time.monotonic() - began:.2f} s after SIGSTOP, with a watchdog of 2 s")
    assert not alive(first)
    assert wedged(run) == ["hangs"]
    assert len(run.pids("start", "other")) == 1
    assert run.stop() == 0


def test_one_that_is_never_heard_gets_a_longer_time_to_start(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "mute", watchdog_seconds=0.5)], start_s=3)
    eventually(lambda: run.pids("start", "mute"))
    began = time.monotonic()
    eventually(lambda: len(run.pids("start", "mute")) == 2, timeout=8)
    assert time.monotonic() - began > 2.5
    assert wedged(run) == ["mute"]


def test_one_that_was_stopped_for_less_is_left_alone(supervise, tmp_path, eventually):
    run = supervise([child(tmp_path, "slow", "beats", watchdog_seconds=4)], start_s=2)
    pid = eventually(lambda: run.pids("start", "slow"))[0]
    after(1, eventually)
    for _ in range(3):
        os.kill(pid, signal.SIGSTOP)
        after(1.5, eventually)
        os.kill(pid, signal.SIGCONT)
        after(0.5, eventually)
    assert wedged(run) == []
    assert run.pids("start", "slow") == [pid]


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_supervisor_that_was_stopped_itself_ends_nobody(supervise, tmp_path, eventually, all_of_them):
    # Alone, or with its process, as on a machine that sleeps: no more than 5 s count between two looks.
    watchdog, stopped = (10, 12) if all_of_them else (2, 4)
    run = supervise([child(tmp_path, "fine", "beats", watchdog_seconds=watchdog)], start_s=2)
    pid = eventually(lambda: run.pids("start", "fine"))[0]
    after(1, eventually)
    if all_of_them:
        os.kill(pid, signal.SIGSTOP)
        after(1.2, eventually)  # what it said before has been heard by now
    os.kill(run.process.pid, signal.SIGSTOP)
    after(stopped, eventually)
    os.kill(run.process.pid, signal.SIGCONT)
    after(1.2, eventually)  # and now the supervisor has looked before its process goes on
    os.kill(pid, signal.SIGCONT)
    after(2, eventually)
    assert wedged(run) == []
    assert run.pids("start", "fine") == [pid]
    assert run.stop() == 0


def test_a_valkey_that_hangs_is_replaced_and_has_lost_nothing(supervise, tmp_path, eventually, record_property):
    server = EmbeddedValkey(tmp_path / "valkey")
    run = supervise([{"valkey": str(server.directory), "watchdog_seconds": 2}], [child(tmp_path, "web")])
    eventually(lambda: run.pids("start", "web"))
    pids = [line["pid"] for line in run.log() if line["service"] == "valkey"]
    with contextlib.closing(Redis.from_url(server.url)) as redis:
        redis.set("key", "value")
        after(2, eventually)
        os.kill(pids[0], signal.SIGSTOP)
        began = time.monotonic()
        eventually(lambda: "process.restarted" in [line["event"] for line in run.log()], timeout=30)
        eventually(server.ready)
        record_property("replaced", f"{time.monotonic() - began:.2f} s after SIGSTOP, with a watchdog of 2 s")
        assert redis.get("key") == b"value"
    assert wedged(run) == ["valkey"]
    assert not alive(pids[0])
    assert run.stop() == 0


def test_a_valkey_that_answers_is_left_alone(supervise, tmp_path, eventually):
    server = EmbeddedValkey(tmp_path / "valkey")
    run = supervise([{"valkey": str(server.directory), "watchdog_seconds": 2}], start_s=1)
    eventually(server.ready)
    after(5, eventually)
    assert wedged(run) == []


def test_the_supervisor_itself_tells_that_it_goes_on(supervise, tmp_path, eventually):
    with contextlib.closing(Listener()) as listener:
        run = supervise([child(tmp_path, "one")], notifier=listener.address)
        eventually(lambda: run.pids("start", "one"))
        listener.heard()
        eventually(listener.heard, timeout=3)
        listener.heard()
        os.kill(run.process.pid, signal.SIGSTOP)
        after(1.5, eventually)
        listener.heard()
        after(1.5, eventually)
        assert not listener.heard()
        os.kill(run.process.pid, signal.SIGCONT)
        run.stop()
        assert listener.heard()


def test_the_notify_socket_of_the_supervisor_is_not_that_of_its_children(tmp_path):
    env = {**os.environ, "NOTIFY_SOCKET": "/run/of/the/supervisor"}
    seen = tmp_path / "seen"
    show = [sys.executable, "-c", f"import os; open({str(seen)!r}, 'w').write(os.environ.get('NOTIFY_SOCKET', ''))"]
    for watchdog_seconds in (None, 5):
        service = ProcessService(Child("shows", show, env=env, watchdog_seconds=watchdog_seconds))
        service.launch()
        while service.poll() is None:
            time.sleep(0.01)
        address = seen.read_text()
        assert (address == "") == (watchdog_seconds is None)
        assert address != env["NOTIFY_SOCKET"]
    assert stat.S_IMODE(Path(address).parent.stat().st_mode) == 0o700


def test_without_a_place_for_its_signs_of_life_a_process_runs_unwatched():
    code = """
import os, pathlib, sys, tempfile
from workers.processes import Child, ProcessService
os.rmdir(tempfile.gettempdir())
service = ProcessService(Child("one", ["sleep", "600"], watchdog_seconds=5))
service.launch()
assert service.poll() is None
assert service.watchdog_seconds is None
assert not service.heard()
service.kill()
"""
    env = {**os.environ, "TMPDIR": tempfile.mkdtemp()}  # removed by the program
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert "process.unwatched" in done.stdout


def address_of(service):
    """Return where a service was told to report to; nothing in the moment when it becomes its command."""
    found = re.search(rb"NOTIFY_SOCKET=([^\0]+)", Path(f"/proc/{service.pid}/environ").read_bytes())
    return found[1].decode() if found else ""


def test_what_an_earlier_process_said_is_not_the_word_of_the_next_one(eventually):
    service = ProcessService(Child("one", ["sleep", "600"], watchdog_seconds=5))
    service.launch()
    first = eventually(lambda: address_of(service))
    Notifier(first).alive()
    service.kill()
    eventually(lambda: service.poll() is not None)
    service.launch()
    assert not service.heard()
    Notifier(eventually(lambda: address_of(service))).alive()
    assert service.heard()
    service.kill()
    eventually(lambda: service.poll() is not None)
    assert not Path(first).parent.exists()
