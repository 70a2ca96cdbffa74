"""A real gunicorn: what only shows on the wire. One server for the tests that leave it alive."""

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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver import server
from tests.bench.stalls import below
from workers.settings import Settings
from workers.tokens import token
from workers.valkey import EmbeddedValkey

pytestmark = pytest.mark.slow

REF = "r" * 22
KEY = "a-callback-key-of-tests"
DOOR = f"/webhooks/swiftia/{token(REF, [KEY])}"
LIMIT = 10_000
PROGRAM = (
    "import os; from receiver import server; from workers import logs; from workers.settings import Settings; "
    "settings = Settings.from_env(os.environ); logs.configure(settings); server.run(settings)"
)
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def raw(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """Send pieces, and give all that comes back until the server closes or answers."""
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return received(sock)

    def alive(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/healthz")[0] == 200
        return False


def received(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            data += chunk
            if b"\r\n\r\n" in data:
                break
    return data


def start(folder: Path, redis_url: str, command: list[str], **changes: str) -> Running:
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(folder / "data"),
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "ADMIN_TOKEN": "an-admin-token-of-tests",
        "CALLBACK_KEYS": KEY,
        "MAX_CALLBACK_BYTES": str(LIMIT),
        "WEB_CONCURRENCY": "1",
        "GRACE_SECONDS": "5",
        "LOG_FORMAT": "json",
        **changes,
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, *command], env=env, stdout=out, stderr=out, cwd=folder)  # noqa: S603
    return Running(process, port, log)


def stop(running: Running) -> None:
    if running.process.poll() is None:
        running.process.terminate()
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        running.process.kill()
        raise


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, valkey_server: EmbeddedValkey, eventually) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("web"), valkey_server.url, ["-c", PROGRAM])
    try:
        eventually(running.alive, timeout=30)
        yield running
    finally:
        stop(running)


def head(*lines: str, path: str = DOOR) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode()


def chunked(size: int, step: int = 1000) -> bytes:
    whole, rest = divmod(size, step)
    sizes = [step] * whole + ([rest] if rest else [])
    return b"".join(b"%x\r\n%s\r\n" % (n, b"x" * n) for n in sizes) + b"0\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


CHUNKED = head("Transfer-Encoding: chunked")


def test_a_callback_is_taken(web, redis):
    code, headers, body = web.ask("POST", DOOR, b'{"id":"job_1"}')
    assert code == 202
    assert json.loads(body)["outcome"] == "new"
    assert headers["Content-Type"] == "application/json"
    assert redis.exists("sr:job:job_1")


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_a_chunked_body_up_to_the_limit_is_taken_whole(web, redis, size):
    assert status(web.raw(CHUNKED + chunked(size))) == 202
    (body,) = redis.hvals(f"sr:bodies:ref:{REF}")
    assert body == b"x" * size


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 1000, 2 * LIMIT, 200_000])
def test_a_chunked_body_over_the_limit_is_too_large(web, redis, size):
    with web.connect() as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(CHUNKED + chunked(size))
        assert status(received(sock)) == 413
    assert redis.dbsize() == 0


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 2, 10**9, 10**18])
def test_an_announced_body_over_the_limit_is_too_large_before_it_is_sent(web, redis, size):
    assert status(web.raw(head(f"Content-Length: {size}"), b"x" * min(size, LIMIT + 1))) == 413
    assert redis.dbsize() == 0


@pytest.mark.parametrize("there", [0, 1, 99])
def test_a_body_cut_short_is_not_acknowledged_and_not_kept(web, redis, there):
    answer = web.raw(head("Content-Length: 100"), b"x" * there, half_close=True)
    assert status(answer) == 400
    assert redis.dbsize() == 0


@pytest.mark.parametrize(
    "tail", [b"", b"5\r\nab", b"5\r\nabcde\r\n", b"5\r\nabcdeX", b"zz\r\n", b"5\r\nabcde\r\n0\r\n"]
)
def test_a_chunked_body_cut_short_is_not_acknowledged_and_not_kept(web, redis, tail):
    answer = web.raw(CHUNKED + tail, half_close=True)
    assert not 200 <= status(answer) < 300
    assert status(answer) < 500
    assert redis.dbsize() == 0


@pytest.mark.parametrize(
    "request_head",
    [
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Content-Length: 5", "Content-Length: 6"),
        head("Content-Length: -5"),
        head("Content-Length: 5x"),
        head("Transfer-Encoding: gzip, chunked, identity"),
        head("Bad Header: x"),
        head(path="/webhooks/swiftia/" + "x" * 3000),
        head("X-Long: " + "y" * 9000),
        head(*[f"X-{n}: y" for n in range(100)]),
    ],
)
def test_malformed_requests_are_refused(web, redis, request_head):
    code = status(web.raw(request_head + b"0\r\n\r\n", half_close=True))
    assert code in (400, 401, 414, 431, 501)
    assert redis.dbsize() == 0


@pytest.mark.parametrize(
    ("request_head", "slug"),
    [
        (head("Bad Header: x"), "bad-request"),
        (head("Transfer-Encoding: gzip, chunked, identity"), "bad-request"),
        (f"POST {DOOR} HTTP/9.9\r\n\r\n".encode(), "bad-request"),
        (head(path=DOOR + "x" * 3000), "uri-too-long"),
        (head("X-Long: " + "y" * 9000), "headers-too-large"),
        (head(*[f"X-{n}: y" for n in range(100)]), "headers-too-large"),
    ],
)
def test_what_gunicorn_refuses_is_a_problem_too(web, request_head, slug):
    with web.connect() as sock:
        sock.sendall(request_head)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                answer += piece
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in top
    assert b"Content-Length: %d" % len(body) in top
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status(answer))
    assert REF not in answer.decode()


def test_a_stranger_is_answered_before_his_body_is_read(web):
    with web.connect() as sock:
        sock.sendall(head("Content-Length: 9000", path="/webhooks/swiftia/wrong"))
        assert status(received(sock)) == 401


@pytest.mark.usefixtures("redis")
def test_one_connection_serves_several_callbacks(web):
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    with contextlib.closing(connection):
        for n in range(5):
            connection.request("POST", DOOR, b"%d" % n)
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (202, True)


def test_silent_clients_do_not_hold_the_door_for_long(web, redis):
    halves = [
        head("Content-Length: 100") + b"half a body",
        CHUNKED + b"5\r\nab",
        f"POST {DOOR} HTTP/1.1\r\nHost: te".encode(),
    ]
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(web.connect()) for _ in range(server.THREADS + 2)]
        for n, sock in enumerate(silent):
            sock.sendall(halves[n % len(halves)])
        began = time.monotonic()
        assert web.ask("POST", DOOR, b"good")[0] == 202
        assert time.monotonic() - began < server.READ_TIMEOUT_S * 2
    assert redis.hvals(f"sr:bodies:ref:{REF}") == [b"good"]
    assert "Traceback" not in web.log.read_text()


def test_no_token_is_logged(web):
    web.ask("POST", DOOR, b"{}")
    web.raw(f"POST {DOOR} HTTP/9.9\r\n\r\n".encode())
    web.raw(f"POST {DOOR} x HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    text = web.log.read_text()
    assert "callback.received" in text
    assert token(REF, [KEY]) not in text
    assert REF not in text
    assert KEY not in text


def test_a_stop_lets_requests_end(tmp_path, valkey_server, redis, eventually):
    running = start(tmp_path, valkey_server.url, ["-c", PROGRAM], WEB_CONCURRENCY="2")
    try:
        eventually(running.alive, timeout=30)
        answers = []
        with running.connect() as sock:
            sock.sendall(head("Content-Length: 10") + b"12345")
            # The request is under way, and the server knows it, as soon as another one sent later is answered.
            assert running.ask("GET", "/healthz")[0] == 200
            running.process.send_signal(signal.SIGTERM)
            finish = threading.Timer(0.5, sock.sendall, [b"67890"])
            finish.start()
            answers.append(status(received(sock)))
            finish.join()
        assert answers == [202]
        assert running.process.wait(10) == 0
        assert redis.hvals(f"sr:bodies:ref:{REF}") == [b"1234567890"]
    finally:
        stop(running)


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("all_at_once", [False, True], ids=["the arbiter", "all"])
def test_a_stop_does_not_wait_for_those_who_do_not_hang_up(tmp_path, valkey_server, eventually, all_at_once):
    running = start(tmp_path, valkey_server.url, ["-c", PROGRAM], WEB_CONCURRENCY="2", GRACE_SECONDS="60")
    plain = head("Content-Length: 2") + b"{}"
    try:
        eventually(running.alive, timeout=30)
        with contextlib.ExitStack() as stack:
            silent, *idle = [stack.enter_context(running.connect()) for _ in range(21)]
            for sock in idle:
                sock.sendall(plain)
                assert status(received(sock)) == 202
            workers = below(running.process.pid)[1:]
            for pid in [running.process.pid, *(workers if all_at_once else [])]:
                os.kill(pid, signal.SIGTERM)
            # They are answered if they come before the end, and keep their own sides open in any case.
            for sock in idle[1:]:
                with contextlib.suppress(OSError):
                    sock.sendall(plain)
            assert running.process.wait(8) == 0
            assert {status(received(sock)) for sock in idle[1:]} <= {0, 202}
            assert received(idle[0]) == received(silent) == b""
    finally:
        stop(running)


@pytest.mark.usefixtures("redis")
def test_a_client_that_does_not_hang_up_holds_up_nobody(web):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(web.connect()) for _ in range(40)]
        for sock in clients:
            # What comes behind is for nobody, and nobody waits for more of it.
            sock.sendall(head("Content-Length: 2", "Connection: close") + b"{}" + b"x" * 100)
        for sock in clients:
            assert status(received(sock)) == 202
        assert web.ask("GET", "/healthz")[0] == 200


@pytest.mark.usefixtures("redis")
def test_gunicorn_run_by_hand_takes_the_same_values(tmp_path, valkey_server: EmbeddedValkey, eventually):
    command = ["-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py")]
    running = start(tmp_path, valkey_server.url, command)
    try:
        eventually(running.alive, timeout=30)
        assert running.ask("POST", DOOR, b"{}")[0] == 202
        assert not list(tmp_path.glob("**/gunicorn.ctl"))
    finally:
        stop(running)


def test_the_settings_come_from_ours(tmp_path):
    settings = Settings.from_env({"DATA_DIR": str(tmp_path), "HOST": "::1", "PORT": "81", "GRACE_SECONDS": "0"})
    options = server.options(settings)
    assert options["bind"] == ["[::1]:81"]
    assert options["workers"] == settings.web_concurrency
    assert options["graceful_timeout"] == 1
    assert options["control_socket_disable"] is True
    assert options["accesslog"] is None
