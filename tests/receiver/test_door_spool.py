"""The door while Redis is away: through Flask, and under a steady stream at a real gunicorn with two processes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from receiver.app import create_app
from tests.refusing import full, read_only
from workers import keys
from workers.drain import Drain
from workers.identifiers import JobSubject, RefSubject
from workers.ledger import Ledger
from workers.services import Services
from workers.settings import Settings
from workers.tokens import token
from workers.valkey import EmbeddedValkey
from workers.wiring import build

REF = "r" * 22
KEY = "a-callback-key-of-tests"
ROOT = Path(__file__).parents[2]


def drained(services: Services) -> None:
    services.intake.try_redis()
    Drain(services.intake).turn()


@pytest.mark.parametrize("away", [full, read_only])
def test_a_callback_is_spooled_and_later_in_the_ledger(client, job_url, services, redis, away):
    with away(redis):
        answer = client.post(job_url, data=b'{"id":"job_1"}')
    assert answer.status_code == 202
    assert set(answer.json) == {"receipt", "outcome"}
    assert answer.json["outcome"] == "spooled"
    assert redis.keys("sr:*") == []
    drained(services)
    (entry,) = services.ledger.callbacks(JobSubject("job_1"))
    assert (entry["receipt"], entry["from"], entry["size"]) == (answer.json["receipt"], "127.0.0.1", 14)
    assert services.ledger.take_bodies(JobSubject("job_1")) == {answer.json["receipt"]: b'{"id":"job_1"}'}
    assert redis.zscore(keys.due("fetch"), "job_1") is not None
    assert client.post(job_url, data=b"{}").json["outcome"] == "new"


def test_a_callback_that_names_no_job_is_kept_for_the_operator_all_the_same(client, shared_url, services, redis):
    with full(redis):
        answer = client.post(shared_url, data=b"whose?")
    assert answer.status_code == 422
    assert services.intake.spool.depth().count == 1
    drained(services)
    (kept,) = redis.lrange(keys.UNIDENTIFIED, 0, -1)
    assert kept.endswith(b"\nwhose?")
    assert answer.json["receipt"].encode() in kept


def test_what_is_refused_is_not_spooled(client, job_url, services, redis):
    with full(redis):
        assert client.post("/webhooks/swiftia/wrong", data=b"{}").status_code == 401
        assert client.post(job_url, data=b"x" * 10_001).status_code == 413
    assert services.intake.spool.depth().count == 0


def test_when_the_spool_is_full_the_sender_is_asked_to_come_again(env, job_url):
    services = build(Settings.from_env({**env, "SPOOL_MAX_BYTES": "6000"}), Redis(port=1, retry=None))
    client = create_app(services).test_client()
    answers = [client.post(job_url, data=b"%d" % n * 1000) for n in range(8)]
    codes = [answer.status_code for answer in answers]
    kept = codes.count(202)
    assert codes == [202] * kept + [503] * (8 - kept)
    assert 1 < kept < 8
    assert answers[-1].content_type == "application/problem+json"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert "sqlite" not in answers[-1].text
    assert services.intake.spool.depth().count == kept
    assert client.post(job_url, data=b"").status_code == 202, "a small one still fits"
    services.intake.spool.close()


def test_without_redis_and_without_a_disk_the_sender_is_asked_to_come_again(env, job_url, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").write_text("a file where a folder must be")
    services = build(Settings.from_env(env), Redis(port=1, retry=None))
    answer = create_app(services).test_client().post(job_url, data=b"{}")
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert str(tmp_path) not in answer.text


def test_without_a_disk_redis_is_enough(client, job_url, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").write_text("a file where a folder must be")
    assert client.post(job_url, data=b"{}").json["outcome"] == "new"


def test_the_api_does_not_answer_from_the_spool(api, redis):
    with full(redis):
        assert api.post("/api/callbacks", json={}).status_code == 503


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def serving(folder: Path, port: int, redis_url: str) -> "subprocess.Popen[bytes]":
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(folder / "data"),
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "ADMIN_TOKEN": "an-admin-token-of-tests",
        "CALLBACK_KEYS": KEY,
        "WEB_CONCURRENCY": "2",
        "LOG_FORMAT": "json",
    }
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "receiver", "web"]
        return subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)  # noqa: S603 - ours


def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, object]]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def ready(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(port, "GET", "/readyz")[0] == 200
    return False


@dataclass
class Sender:
    """Calls about one job, one callback after the other, ``every`` so many seconds."""

    port: int
    ref: str
    every: float
    codes: list[int] = field(default_factory=list)
    outcomes: set[object] = field(default_factory=set)
    receipts: list[object] = field(default_factory=list)
    slowest: float = 0.0

    def run(self, enough: threading.Event) -> None:
        door = f"/webhooks/swiftia/{token(self.ref, [KEY])}"
        planned = time.monotonic()
        while not enough.is_set():
            began = time.monotonic()
            code, answer = ask(self.port, "POST", door, b"%d" % len(self.codes))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.codes.append(code)
            self.outcomes.add(answer.get("outcome"))
            self.receipts.append(answer.get("receipt"))
            planned += self.every
            enough.wait(max(0.0, planned - time.monotonic()))


@contextlib.contextmanager
def sending(senders: list[Sender]) -> Iterator[None]:
    enough = threading.Event()
    threads = [threading.Thread(target=sender.run, args=(enough,)) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def hang_kill_and_bring_back(valkey: EmbeddedValkey, folder: Path, seconds: float) -> EmbeddedValkey:
    time.sleep(seconds)
    os.kill(valkey.pid or 0, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(valkey.pid or 0, signal.SIGKILL)
    valkey.stop()  # it is dead already, and not yet buried
    time.sleep(seconds)
    again = EmbeddedValkey(folder / "valkey")
    again.start()
    time.sleep(seconds)
    return again


@pytest.mark.slow
def test_a_stream_of_callbacks_does_not_notice_that_redis_is_away(tmp_path, eventually: Callable[..., object]):
    valkey = EmbeddedValkey(tmp_path / "valkey")
    valkey.start()
    port = free_port()
    web = serving(tmp_path, port, valkey.url)
    senders = [Sender(port, f"{n}" * 22, every=0.1) for n in range(5)]
    try:
        eventually(lambda: ready(port), timeout=30)
        with sending(senders):
            valkey = hang_kill_and_bring_back(valkey, tmp_path, seconds=2.5)
        eventually(lambda: ask(port, "GET", "/readyz")[1]["spool"] == {"count": 0, "bytes": 0}, timeout=10)
        with contextlib.closing(Redis.from_url(valkey.url)) as redis:
            for sender in senders:
                assert set(sender.codes) == {202}
                assert sender.outcomes == {"new", "spooled"}
                listed = [entry["receipt"] for entry in Ledger(redis).callbacks(RefSubject(sender.ref))]
                assert listed == sender.receipts
        assert sum(len(sender.codes) for sender in senders) > 300
        # The first ones wait for the server that hangs.
        assert max(sender.slowest for sender in senders) < 5
    finally:
        web.terminate()
        code = web.wait(20)
        valkey.stop()
    assert code == 0, (tmp_path / "log").read_text()


@pytest.mark.slow
def test_what_a_killed_server_had_spooled_is_drained_by_the_next(tmp_path, eventually: Callable[..., object]):
    valkey = EmbeddedValkey(tmp_path / "valkey")
    port = free_port()
    first = serving(tmp_path, port, valkey.url)
    second = None
    try:
        # Redis has never been there.
        eventually(lambda: ready(port), timeout=30)
        door = f"/webhooks/swiftia/{token(REF, [KEY])}"
        answers = [ask(port, "POST", door, b"%d" % n) for n in range(10)]
        assert {(code, answer["outcome"]) for code, answer in answers} == {(202, "spooled")}
        first.kill()
        first.wait()
        valkey.start()
        second = serving(tmp_path, free_port(), valkey.url)
        with contextlib.closing(Redis.from_url(valkey.url)) as redis:
            eventually(lambda: len(Ledger(redis).callbacks(RefSubject(REF))) == 10, timeout=30)
            listed = [entry["receipt"] for entry in Ledger(redis).callbacks(RefSubject(REF))]
        assert listed == [answer["receipt"] for _, answer in answers]
    finally:
        for process in filter(None, (first, second)):
            process.terminate()
            process.wait(20)
        valkey.stop()
