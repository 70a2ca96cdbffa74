"""What can befall the service: each trouble is one function that brings it about, and takes it back if it lasts."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.chaos.machine import Machine, parent_of, send
from tests.chaos.recovery import Recoveries
from tests.chaos.wallclock import Wallclock
from workers.sandbox import Sandbox

KILLED = {"work-horse": 28, "worker": 20, "web worker": 16, "clock": 14, "valkey": 12, "web": 8}
"""Which process is killed, and how often in a hundred times."""
FROZEN = ("work-horse", "worker", "web worker", "clock", "web")
_RESTART_PAUSE_S = 0.25
_STRACE_PATIENCE_S = 5.0


@dataclass
class Troubles:
    """``seconds``: how long a lasting trouble lasts. ``stop``: set when everything shall be taken back at once."""

    machine: Machine
    sandbox: Sandbox
    chance: random.Random
    recoveries: Recoveries
    seconds: float
    wallclock: Wallclock | None
    stop: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    missing: dict[str, str] = field(default_factory=dict)
    _frozen: list[int] = field(default_factory=list)

    # One process

    def kill(self) -> None:
        kind = self.chance.choices(list(KILLED), list(KILLED.values()))[0]
        pid = self.machine.pick(kind, self.chance)
        if pid is None:
            return
        busy = {"worker": pid, "work-horse": parent_of(pid)}.get(kind)
        with self.recoveries.around(busy):
            if send(pid, signal.SIGKILL):
                self.counts[f"SIGKILL {kind}"] += 1

    def freeze(self) -> None:
        """SIGSTOP one process: most go on after a while, some never, and have to be replaced."""
        kind = self.chance.choice(FROZEN)
        pid = self.machine.pick(kind, self.chance)
        if pid is None or not send(pid, signal.SIGSTOP):
            return
        self.counts[f"SIGSTOP {kind}"] += 1
        self._frozen.append(pid)
        if self.chance.random() < 0.7:
            self.stop.wait(self.chance.uniform(0.2, self.seconds))
            send(pid, signal.SIGCONT)
            self._frozen.remove(pid)

    def thaw(self) -> None:
        """Let everything go on that is still there; what nobody replaced is told by the books."""
        for pid in self._frozen:
            send(pid, signal.SIGCONT)

    # Redis

    def restart_valkey(self) -> None:
        if (pid := self.machine.pick("valkey", self.chance)) and send(pid, signal.SIGTERM):
            self.counts["Valkey restarted"] += 1

    def redis_hangs(self) -> None:
        if (pid := self.machine.pick("valkey", self.chance)) and send(pid, signal.SIGSTOP):
            self.counts["Redis hangs"] += 1
            self.stop.wait(self.seconds)
            send(pid, signal.SIGCONT)

    def redis_is_down(self) -> None:
        """Kill it again and again: whatever starts it anew, it is away."""
        self.counts["Redis down"] += 1
        with self._for(self.seconds) as lasting:
            while lasting():
                if pid := self.machine.pick("valkey", self.chance):
                    send(pid, signal.SIGKILL)
                self.stop.wait(_RESTART_PAUSE_S)

    # The machine

    def everything_dies(self) -> None:
        """The launcher too: somebody has to start it again."""
        self.counts["everything at once"] += 1
        for pid in self.machine.processes():
            send(pid, signal.SIGKILL)
        self.machine.up.wait()
        self.machine.http.close()
        self.machine.start(patience=120)

    def clock_jumps(self) -> None:
        if self.wallclock is None:
            self.missing["clock jumps"] = "there is no C compiler"
            return
        self.wallclock.jump(self.chance.choice([-3600, -90, -20, 20, 90, 3600]))
        self.counts["clock jumps"] += 1

    def disk_is_slow(self) -> None:
        """Every sync of every process takes a tenth of a second longer."""
        strace = shutil.which("strace")
        if strace is None:
            self.missing["slow disk"] = "strace is not installed"
            return
        calls = "fsync,fdatasync"
        command = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
        command += ["-e", f"inject={calls}:delay_exit=100000"]
        command += [word for pid in self.machine.processes() for word in ("-p", str(pid))]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - the pids of our own processes
        self.stop.wait(min(self.seconds, 10))
        if tracer.poll() is None:
            self.counts["slow disk"] += 1
        else:
            self.missing["slow disk"] = f"strace ended with {tracer.returncode}; it needs leave to trace"
        tracer.terminate()
        try:
            tracer.wait(_STRACE_PATIENCE_S)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()

    def disk_is_full(self) -> None:
        folder = self.machine.folder / "data"
        if not os.path.ismount(folder):
            self.missing["full disk"] = "only root can give the service a small disk of its own"
            return
        self.counts["full disk"] += 1
        stuff = folder / "stuff"
        try:
            with self._for(min(self.seconds, 10)) as lasting, stuff.open("wb", buffering=0) as file:
                while lasting():
                    with contextlib.suppress(OSError):
                        for _ in range(200):
                            file.write(bytes(1 << 20))
                    self.stop.wait(0.05)
        finally:
            stuff.unlink()

    # Swiftia

    def outage(self) -> None:
        how = self.chance.choice(["server_errors", "html", "resets", "cuts"])
        self._upstream(f"outage: {how.replace('_', ' ')}", **{how: 0.9})

    def storm_of_429(self) -> None:
        self._upstream("storm of 429", rate_limit="1/10s")

    def slow_answers(self) -> None:
        self._upstream("slow answers", slow=0.8)

    def _upstream(self, name: str, **changes: object) -> None:
        before = self.sandbox.config
        self.counts[name] += 1
        self.sandbox.configure(**changes)
        self.stop.wait(self.seconds)
        self.sandbox.configure(**{field: getattr(before, field) for field in changes})

    @contextlib.contextmanager
    def _for(self, seconds: float) -> Iterator[Callable[[], bool]]:
        over = threading.Event()
        timer = threading.Timer(seconds, over.set)
        timer.start()
        try:
            yield lambda: not over.is_set() and not self.stop.is_set()
        finally:
            timer.cancel()
