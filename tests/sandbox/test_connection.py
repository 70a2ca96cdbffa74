"""Clients that are rude, broken or many; spoken to over bare sockets."""

import socket
import struct
import threading
import time

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.sandbox import Sandbox, SandboxConfig

HEAD = b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(SandboxConfig(port=0, rate_limit="1000000/1s")) as sandbox:
        yield sandbox
        assert sandbox.books()["crashes"] == []


def connect(sandbox):
    host, port = sandbox.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def say(sandbox, data, *, more=True):
    """Send bytes; return all that comes back until the server closes."""
    with connect(sandbox) as connection:
        connection.sendall(data)
        if not more:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (HEAD + b"Content-Length: -5\r\n\r\n", 400),
        (HEAD + b"Content-Length: five\r\n\r\n", 400),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (HEAD + b"Content-Length: 1048577\r\n\r\n", 413),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n", 413),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_connection_closed(sandbox, data, status):
    answer = say(sandbox, data, more=False)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
    assert f'"status": {status}'.encode() in answer


def test_a_client_that_sends_too_much_still_reads_why(sandbox, anyone):
    answer = anyone.post(f"{sandbox.url}/api/jobs", content=b"a" * 5_000_000)

    assert answer.status_code == 413


def test_the_largest_body_is_read(sandbox, anyone):
    headers = {"Authorization": "Bearer sandbox-key", "Content-Type": "application/json"}

    answer = anyone.post(f"{sandbox.url}/api/jobs", headers=headers, content=b'{"a":"' + b"b" * (2**20 - 8) + b'"}')

    assert answer.json()["message"] == "The 'functionName' parameter is required."


def test_a_client_that_asks_first_is_told_to_go_on(sandbox):
    with connect(sandbox) as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_connection_is_kept_and_pipelined(sandbox):
    request = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"

    answer = say(sandbox, request * 3, more=False)

    assert answer.count(b"HTTP/1.1 404") == 3


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nHos", HEAD + b"Content-Length: 50\r\n\r\n{"])
def test_clients_that_leave_in_the_middle(sandbox, data, anyone):
    with connect(sandbox) as connection:
        connection.sendall(data)
    with connect(sandbox) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert anyone.get(sandbox.url).status_code == 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_leave_it_standing(sandbox, data):
    say(sandbox, data, more=False)
    say(sandbox, HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data, more=False)

    assert sandbox.books(hashes=False)["crashes"] == []


def test_many_connections_at_once(sandbox, new_client):
    before = sandbox.books()["requests"].get("GET /api/jobs/{id}", {}).get("404", 0)

    def ask():
        with new_client(base_url=sandbox.url, headers={"Authorization": "Bearer sandbox-key"}) as client:
            for _ in range(5):
                assert client.get("/api/jobs/x").status_code == 404

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sandbox.books()["requests"]["GET /api/jobs/{id}"]["404"] == before + 200


def test_one_connection_after_the_other_needs_no_new_thread(sandbox):
    request = b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n"
    seen = set()
    for _ in range(50):
        say(sandbox, request)
        seen |= set(threading.enumerate())
    say(sandbox, request)

    assert len(seen - set(threading.enumerate())) == 0
    assert len(seen) < 50


def test_few_threads_are_kept_of_many(anyone):
    others = len(threading.enumerate())
    with Sandbox(SandboxConfig(port=0, webhook_senders=1)) as sandbox:
        held = [connect(sandbox) for _ in range(60)]
        for connection in held:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert len(threading.enumerate()) - others >= 60
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 10
        while len(threading.enumerate()) - others > 30:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert anyone.get(sandbox.url).status_code == 200


def test_hundreds_of_requests_a_second(sandbox):
    count, request = 500, b"GET /api/jobs/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n\r\n"
    began = time.monotonic()

    answers = say(sandbox, request * count, more=False)

    assert answers.count(b"HTTP/1.1 404") == count
    assert count / (time.monotonic() - began) > 200


def test_books_are_read_while_everything_moves(sandbox, new_client):
    ended = threading.Event()
    failures = []

    def submit():
        body = {"functionName": "VideoShorts", "youtubeVideoId": "a"}
        with new_client(base_url=sandbox.url, headers={"Authorization": "Bearer sandbox-key"}) as client:
            while not ended.is_set():
                answer = client.post("/api/jobs", json=body)
                if answer.status_code not in {200, 201}:
                    failures.append(answer.text)

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(sandbox.books()["jobs"]) < 100:
        assert not failures
    ended.set()
    for thread in threads:
        thread.join()

    assert failures == []


def test_a_stopped_sandbox_is_gone_even_for_kept_connections(anyone, new_client):
    others = set(threading.enumerate())
    sandbox = Sandbox(SandboxConfig(port=0))
    with sandbox, new_client(base_url=sandbox.url) as client:
        client.get("/")
        assert len(set(threading.enumerate()) - others) > 2
    assert {thread for thread in threading.enumerate() if thread not in others and thread.is_alive()} == set()
    with pytest.raises(httpx2.ConnectError):
        anyone.get(sandbox.url)
