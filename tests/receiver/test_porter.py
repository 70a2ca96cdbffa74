"""Both ways through the door, on two real gunicorns: what the porter takes is taken exactly as Flask takes it."""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.receiver.test_server import KEY, PROGRAM, Running, start, stop
from tests.workers.ledgers.dumps import dump
from workers.tokens import shared_token, token
from workers.valkey import EmbeddedValkey

pytestmark = pytest.mark.slow

# The same options, and the worker that knows no porter.
ORDINARY = """
import os
from receiver.malformed import Worker
from receiver.server import options
from workers import logs
from workers.settings import Settings

settings = Settings.from_env(os.environ)
logs.configure(settings)
wsgi_app = "receiver.wsgi:app()"
globals().update(options(settings), worker_class=Worker)
"""
REF = "r" * 22
OWN, SHARED = f"/webhooks/swiftia/{token(REF, [KEY])}", f"/webhooks/swiftia/{shared_token([KEY])}"
WRONG = f"/webhooks/swiftia/{REF}.{'x' * 43}"
ID = "X-Request-Id: an-id-of-tests"


def message(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: hooks.example.org", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


HELD = b'{"id":"job_1","status":"completed"}'
KNOCKS = {
    "a job of its own": [message(OWN, HELD, ID)],
    "no body": [message(OWN, b"", ID)],
    "no JSON": [message(OWN, b"\xff\x00", ID, "Content-Type: image/png", "User-Agent: axios/1.7")],
    "the same twice": [message(OWN, HELD, ID), message(OWN, HELD, ID)],
    "two of one job": [message(OWN, HELD, ID), message(OWN, b'{"id":"job_1"}', ID)],
    "the shared address": [message(SHARED, HELD, ID)],
    "the shared address without a job": [message(SHARED, b"{}", ID)],
    "another token": [message(WRONG, HELD, ID)],
    "by a proxy that is believed": [message(OWN, HELD, ID, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")],
    "an id of a secret's form": [message(SHARED, b'{"id":"whsec_abcdefgh"}', ID)],
    "as large as it may be": [message(OWN, b"x" * 10_000, ID)],
    "too large": [message(OWN, b"x" * 10_001, ID)],
}
VARIES = (
    (re.compile(r"[0-9a-f]{32,64}"), "<receipt>"),
    (re.compile(r"Date: [^\r]+"), "Date: <now>"),
    (re.compile(r"\d{13}-\d+"), "<moment>-0"),
    (re.compile(r"\b1[0-9]{12}\b"), "<moment>"),
    (re.compile(r"\b1[0-9]{12}\b|sr:hour:\d+"), "<hour>"),
    (re.compile(r'"ms": [0-9.]+'), '"ms": 0'),
    (re.compile(r'"timestamp": "[^"]+"'), '"timestamp": ""'),
)


def received(sock: socket.socket) -> bytes:
    """One whole answer."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            return data
        more = sock.recv(65536)
        assert more, data
        data += more


def settled(text: str) -> str:
    for pattern, shown in VARIES:
        text = pattern.sub(shown, text)
    return text


@pytest.fixture(scope="module")
def ways(tmp_path_factory, valkey_server: EmbeddedValkey, eventually) -> Iterator[list[Running]]:
    """The porter's first."""
    running = []
    try:
        for name in ("porter", "ordinary"):
            folder = tmp_path_factory.mktemp(name)
            (folder / "gunicorn.conf.py").write_text(ORDINARY)
            command = ["-c", PROGRAM] if name == "porter" else ["-m", "gunicorn", "-c", "gunicorn.conf.py"]
            running.append(start(folder, valkey_server.url, command, TRUSTED_PROXIES="127.0.0.0/8"))
        for each in running:
            eventually(each.alive, timeout=60)
        yield running
    finally:
        for each in running:
            stop(each)


def counted(way: Running) -> dict[str, float]:
    _, _, body = way.ask("GET", "/metrics", Authorization="Bearer an-admin-token-of-tests")
    lines = [
        line for line in body.decode().splitlines() if line.startswith("swiftia_callback") and "bucket" not in line
    ]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines) if "sum" not in name}


def told(way: Running, since: int) -> list[str]:
    lines = way.log.read_text()[since:].splitlines()
    return [settled(line) for line in lines if "callback." in line]


def seen(way: Running, messages: list[bytes], redis: Redis) -> dict[str, object]:
    redis.flushdb()
    before, since = counted(way), len(way.log.read_text())
    answers = []
    with way.connect() as sock:
        for each in messages:  # on one connection: the second knock is that of a kept-alive one
            sock.sendall(each)
            answers.append(settled(received(sock).decode()))
    after = counted(way)
    return {
        "answers": answers,
        "ledger": [[settled(word) for word in command] for command in dump(redis) if "sr:present" not in command[1]],
        "counted": {name: after[name] - before.get(name, 0.0) for name in after},
        "told": told(way, since),
    }


@pytest.mark.parametrize("name", KNOCKS)
def test_both_ways_are_one(ways, redis, name):
    taken, ordinary = (seen(way, KNOCKS[name], redis) for way in ways)
    assert taken == ordinary
    assert taken["told"]


def test_in_two_pieces_it_is_the_ordinary_way(ways, redis):
    whole = message(OWN, HELD)
    with ways[0].connect() as sock:
        sock.sendall(whole[:-5])
        time.sleep(0.05)  # no matter how long: it is one callback either way
        sock.sendall(whole[-5:])
        assert b" 202 " in received(sock)
    assert redis.exists("sr:job:job_1")


def test_many_at_once_are_each_answered_with_their_own(ways, redis):
    socks = [ways[0].connect() for _ in range(40)]
    try:
        for number, sock in enumerate(socks):
            sock.sendall(
                message(SHARED, json.dumps({"id": f"job_{number}"}).encode(), f"X-Request-Id: number-{number:04}")
            )
        for number, sock in enumerate(socks):
            answer = received(sock).decode()
            assert f"X-Request-Id: number-{number:04}" in answer
            receipt = json.loads(answer.partition("\r\n\r\n")[2])["receipt"]
            assert redis.hkeys(f"sr:bodies:job_{number}") == [receipt.encode()]
    finally:
        for sock in socks:
            sock.close()


def test_a_server_that_forgot_its_scripts_is_told_them_again(ways, redis):
    redis.script_flush()
    for _ in range(2):
        assert b" 202 " in ways[0].raw(message(OWN, HELD))


@pytest.mark.parametrize("pause", [None, "WRITE"])
def test_when_redis_hangs_or_hangs_up_nothing_is_lost(ways, redis, eventually, pause):
    with ways[0].connect() as first, ways[0].connect() as second:
        if pause:
            redis.execute_command("CLIENT", "PAUSE", 4000, pause)
        else:
            redis.client_kill_filter(_type="normal", skipme=True)
        first.sendall(message(SHARED, b'{"id":"job_7"}'))
        second.sendall(message(SHARED, b'{"id":"job_8"}'))
        assert b" 202 " in received(first)
        assert b" 202 " in received(second)
    eventually(lambda: redis.exists("sr:job:job_7", "sr:job:job_8") == 2, timeout=30)
    assert (redis.hlen("sr:bodies:job_7"), redis.hlen("sr:bodies:job_8")) == (1, 1)
