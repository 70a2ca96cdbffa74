"""The contestants of ``make bench-door`` as processes, what they take of the machine, and the Redis behind each."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from tests.chaos.machine import ROOT, free_port
from workers.valkey import _binary, valkey_command

KEY = "a-callback-key-of-the-bench"
ADMIN = "an-admin-token-of-the-bench"
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Store:
    """A Valkey with ``appendfsync`` as said, or without a file at all. Replicas reach it by TCP."""

    folder: Path
    fsync: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = valkey_command(_binary(), self.folder, socket=self.folder / "v.sock")
        chosen = {"--bind": "127.0.0.1", "--port": str(self.port), "--appendfsync": self.fsync}
        if self.fsync == "none":
            chosen |= {"--appendonly": "no", "--appendfsync": "no"}
        for name, value in chosen.items():
            command[command.index(name) + 1] = value
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log)  # noqa: S603 - ours
        until(lambda: self.client().ping())

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.folder / "v.sock"))

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/v.sock"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def clear(self) -> None:
        with contextlib.closing(self.client()) as client:
            client.flushall()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(60)


@dataclass
class Stall:
    """One contestant: its command, its own variables, and the store behind it, if any."""

    name: str
    command: list[str]
    folder: Path
    store: Store | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"PYTHONPATH": str(ROOT), "REDIS_URL": self.store.url if self.store else "", **self.env}
        command = [word.replace("@PORT@", str(self.port)) for word in self.command]
        variables = {name: value.replace("@PORT@", str(self.port)) for name, value in own.items()}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the command is our own
                command, env={**inherited, **variables}, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        until(self._listens)

    def _listens(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @property
    def pids(self) -> list[int]:
        assert self.process
        return below(self.process.pid)

    def cpu(self) -> float:
        return sum(cpu_of(pid) for pid in self.pids)

    def largest(self, of: Callable[[int], float]) -> float:
        """Of the processes that serve."""
        return max(of(pid) for pid in self.pids[1:] or self.pids)


def gunicorn(app: str, python: Path = Path(sys.executable)) -> list[str]:
    """As its manual has it: two processes of four threads."""
    return [str(python), "-m", "gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "4",
            "--bind", "127.0.0.1:@PORT@", f"tests.bench.doors.{app}:app"]  # fmt: skip


def uvicorn(app: str, python: Path) -> list[str]:
    return [str(python), "-m", "tests.bench.doors.two_uvicorns", f"tests.bench.doors.{app}:app", "@PORT@"]


def ours(folder: Path, **more: str) -> dict[str, str]:
    return {
        "DATA_DIR": str(folder / "data"),
        "PORT": "@PORT@",
        "ADMIN_TOKEN": ADMIN,
        "CALLBACK_KEYS": KEY,
        "SWIFTIA_API_KEY": "a-key-of-the-bench",
        "WEB_CONCURRENCY": "2",
        "LOG_FORMAT": "json",
        **more,
    }


def until(condition, patience: float = 90.0) -> None:
    over = time.monotonic() + patience
    while True:
        with contextlib.suppress(Exception):
            if condition():
                return
        if time.monotonic() > over:
            raise TimeoutError(f"not up within {patience:.0f} s")
        time.sleep(0.1)


def below(root: int) -> list[int]:
    found, level = [root], [root]
    while level:
        more: list[int] = []
        for pid in level:
            with contextlib.suppress(OSError):
                more += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        found += more
        level = more
    return found


def cpu_of(pid: int) -> float:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICK
    return 0.0


def rss_of(pid: int) -> float:
    """In MiB."""
    return _kib(f"/proc/{pid}/status", "VmRSS:") / 1024


def pss_of(pid: int) -> float:
    """In MiB; of what several processes share, a part each."""
    return _kib(f"/proc/{pid}/smaps_rollup", "Pss:") / 1024


def _kib(path: str, label: str) -> int:
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(path).read_text().splitlines())
        return next((int(words[1]) for words in lines if words[0] == label), 0)
    return 0


@contextlib.contextmanager
def all_up(stores: list[Store], stalls: list[Stall]) -> Iterator[None]:
    try:
        for store in stores:
            if store.process is None:
                store.start()
        for stall in stalls:
            stall.start()
        yield
    finally:
        for stall in stalls:
            if stall.process and stall.process.poll() is None:
                stall.process.terminate()  # all of them at once, so that their stops pass together
        for stall in stalls:
            stall.stop()
        for store in stores:
            store.stop()
