import contextlib
import os
import signal
import socket
import time

import pytest
from redis import Redis

from workers.pings import Pings
from workers.valkey import EmbeddedValkey


@pytest.fixture
def server(tmp_path):
    """A server that a test plays itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen(1)
        listening.settimeout(5)
        yield listening


@pytest.fixture
def pings(tmp_path):
    with contextlib.closing(Pings(tmp_path / "s")) as made:
        yield made


@pytest.mark.parametrize(
    "answer",
    [b"+PONG\r\n", b"-LOADING Valkey is loading the dataset in memory\r\n", b"-NOAUTH x\r\n", b"\xff"],
)
def test_whatever_the_server_says_is_an_answer(server, pings, answer, eventually):
    assert not pings.answered()
    connection, _ = server.accept()
    with connection:
        for _ in range(3):
            assert connection.recv(100) == b"PING\r\n"
            assert not pings.answered()
            connection.sendall(answer)
            eventually(pings.answered)


def test_it_asks_one_question_at_a_time_and_never_waits(server, pings):
    began = time.monotonic()
    for _ in range(1000):
        assert not pings.answered()
    assert time.monotonic() - began < 1
    connection, _ = server.accept()
    with connection:
        assert connection.recv(100) == b"PING\r\n"


def test_a_server_that_is_not_there_or_goes_is_asked_anew(tmp_path, pings, eventually):
    assert not pings.answered()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
        first.bind(str(tmp_path / "s"))
        first.listen(1)
        assert not pings.answered()
        first.accept()[0].close()
        assert not pings.answered()
    (tmp_path / "s").unlink()
    assert not pings.answered()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second:
        second.bind(str(tmp_path / "s"))
        second.listen(1)
        pings.answered()
        connection, _ = second.accept()
        with connection:
            connection.sendall(b"+PONG\r\n")
            eventually(pings.answered)


def test_one_that_takes_no_connections_delays_nobody(tmp_path, server):
    waiting = []
    began = time.monotonic()
    for _ in range(5):
        waiting.append(Pings(tmp_path / "s"))
        assert not waiting[-1].answered()
    assert time.monotonic() - began < 1
    for one in waiting:
        one.close()
    assert server.fileno() > 0


def test_a_real_server_answers_while_it_works_and_not_while_it_hangs(tmp_path, eventually):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        assert not server.heard()
        eventually(server.heard)
        with contextlib.closing(Redis.from_url(server.url)) as redis:
            redis.execute_command("CONFIG", "SET", "requirepass", "x")
            eventually(server.heard)
            eventually(server.heard)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(0.1)  # what it answered before
        server.heard()
        assert not any(server.heard() for _ in range(20))
        os.kill(server.pid, signal.SIGCONT)
        eventually(server.heard)
    finally:
        server.kill()
        server.stop()
