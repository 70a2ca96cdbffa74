"""The client against real sockets: servers that are slow, cut off, lie about lengths or send rubbish."""

import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import h11
import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.workers.scripted import asked, sending, serving
from workers.certificates import certificates
from workers.errors import ServiceError, TooLarge, UnreadableAnswer, UpstreamUnavailable
from workers.swiftia import Swiftia, wire
from workers.wire import Patience, Wire

JOB = "job_7Qa1"
# Reading the system's certificates takes 40 ms each time.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
OK = b'{"id": "job_7Qa1", "status": "PROCESSING"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SMALL = HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK


@pytest.fixture(scope="module")
def server():
    with serving() as made:
        yield made


def asking(url, ssl_context=NO_TLS, **patience):
    made = wire(url, "key", patience=Patience(**patience), ssl_context=ssl_context)
    return Swiftia(made, key="key", max_result_bytes=100_000)


def ask(server, **patience):
    return asking(server.url, **{"total_s": 5.0, "read_s": 5.0, **patience}).job(JOB)


def trickling(beginning, part):
    def script(connection):
        connection.sendall(beginning)
        while True:
            connection.sendall(part)
            time.sleep(0.02)  # the pace of a slow server, waited for by nobody

    return script


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(OK[:5]) + chunk(OK[5:]) + b"0\r\n\r\n",
        HEAD + b"\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK,
    ],
    ids=["length", "chunks", "until the end", "after an interim answer"],
)
def test_every_framing_gives_the_bytes_as_sent(server, answer):
    server.script = sending(answer)
    assert ask(server)[1] == OK


def on_and_on(server, answer=SMALL):
    """Answer every request of a connection."""

    def script(connection):
        while True:
            connection.sendall(answer)
            try:
                server.requests.append(asked(connection))
            except h11.RemoteProtocolError:
                return

    return script


def test_headers_have_their_names_in_lower_case_and_what_is_repeated_is_one(server):
    server.script = sending(b"HTTP/1.1 200 OK\r\nX-One: a\r\nx-oNE: b, c\r\nRETRY-After:  3 \r\nOdd: \xe9\r\n\r\n")
    with Wire(httpx2.URL(server.url), [], patience=Patience(), ssl_context=NO_TLS).exchange("GET", "/") as answer:
        assert answer.headers == {"x-one": "a, b, c", "retry-after": "3", "odd": "\xe9"}


def test_the_next_question_goes_over_the_same_connection(server):
    server.script = on_and_on(server)
    before, swiftia = server.connections, asking(server.url)
    for n in range(3):
        assert swiftia.job(JOB)[1] == OK
        assert "connection" not in server.requests[-1].headers, n
    assert server.connections == before + 1


def test_over_tls_it_does_too(tls):
    as_server, believing = tls
    with serving(as_server) as server:
        server.script = on_and_on(server)
        swiftia = asking(server.url, believing)
        assert [swiftia.job(JOB)[1] for _ in range(3)] == [OK] * 3
        assert server.connections == 1


def test_what_changes_something_has_a_connection_of_its_own(server):
    server.script = on_and_on(server, SMALL.replace(b"PROCESSING", b"STARTED   "))
    before, swiftia = server.connections, asking(server.url)
    swiftia.job(JOB)
    for n in (2, 3):
        swiftia.create_job({})
        assert server.connections == before + n
        assert server.requests[-1].headers["connection"] == "close"
    swiftia.delete_file("file_1")
    assert server.connections == before + 4
    swiftia.job(JOB)
    assert server.connections == before + 4


@pytest.mark.parametrize(
    "answer",
    [
        SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        SMALL.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SMALL + SMALL,
        SMALL + b" ",
    ],
    ids=["it says so", "an old server", "another answer follows", "something follows"],
)
def test_a_connection_that_is_not_as_good_as_new_is_left(server, answer):
    server.script = on_and_on(server, answer)
    before, swiftia = server.connections, asking(server.url)
    assert [swiftia.job(JOB)[1] for _ in range(2)] == [OK] * 2
    assert server.connections == before + 2


def test_what_the_server_hung_up_is_left(server):
    server.script = sending(SMALL)
    before, swiftia = server.connections, asking(server.url)
    for n in range(1, 4):
        assert swiftia.job(JOB)[1] == OK
        server.rest()
        assert server.connections == before + n


def test_what_was_said_unasked_is_no_answer(server):
    said = threading.Event()

    def script(connection):
        connection.sendall(SMALL)
        asks_again.wait(5)
        connection.sendall(SMALL.replace(b"PROCESSING", b"FAILED    "))
        said.set()
        with contextlib.suppress(OSError):
            connection.recv(1)

    asks_again = threading.Event()
    server.script = script
    swiftia = asking(server.url)
    swiftia.job(JOB)
    asks_again.set()
    assert said.wait(5)
    server.script = sending(SMALL)
    assert swiftia.job(JOB)[1] == OK


def test_a_connection_that_was_long_silent_is_left(server):
    server.script = on_and_on(server)
    now = [0.0]
    made = Wire(httpx2.URL(server.url), [], patience=Patience(), ssl_context=NO_TLS, clock=lambda: now[0])
    swiftia = Swiftia(made, key="key", max_result_bytes=100_000)
    before = server.connections
    for now[0], connections in ((0.0, 1), (0.9, 1), (1.8, 1), (2.9, 2)):
        swiftia.job(JOB)
        assert server.connections == before + connections


def test_a_fork_leaves_its_parents_connection_alone(server):
    server.script = on_and_on(server)
    before, swiftia = server.connections, asking(server.url)
    swiftia.job(JOB)
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            code = swiftia.job(JOB)[1] != OK
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.connections == before + 2
    swiftia.job(JOB)
    assert server.connections == before + 2


def test_threads_have_one_each(server):
    server.script = on_and_on(server)
    before, swiftia = server.connections, asking(server.url)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: swiftia.job(JOB)[1], range(40)))
    assert answers == [OK] * 40
    assert server.connections <= before + 40


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (HEAD, b"A: b\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (HEAD + b"Content-Length: 9999\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b" ")),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["status", "header", "headers", "interim", "body", "chunks", "frame", "trailers", "error body"],
)
def test_a_trickle_ends_at_the_deadline(server, beginning, part):
    server.script = trickling(beginning, part)
    started = time.monotonic()
    with pytest.raises(UpstreamUnavailable) as caught:
        ask(server, total_s=0.2)
    assert caught.value.sent
    assert time.monotonic() - started < 2


def test_silence_ends_at_the_read_timeout(server):
    gone = threading.Event()
    server.script = lambda _: gone.wait(5)
    with pytest.raises(UpstreamUnavailable) as caught:
        ask(server, read_s=0.1)
    gone.set()
    assert caught.value.sent


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\n" + OK,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(OK),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + OK,
        HEAD + b"Content-Length: -5\r\n\r\n" + OK,
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + OK,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
    ],
)
def test_a_cut_or_broken_answer(server, answer):
    server.script = sending(answer)
    with pytest.raises((UpstreamUnavailable, TooLarge)) as caught:
        ask(server)
    assert isinstance(caught.value, TooLarge) or caught.value.sent


@pytest.mark.parametrize("beginning", [b"", HEAD + b"Content-Length: 100\r\n\r\n" + OK])
def test_a_reset(server, beginning):
    def script(connection):
        connection.sendall(beginning)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server.script = script
    with pytest.raises(UpstreamUnavailable) as caught:
        ask(server)
    assert caught.value.sent


@pytest.mark.parametrize(
    "head", [b"Content-Length: 2000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"]
)
def test_an_endless_answer_is_let_go_at_the_cap(server, head):
    sent = []

    def script(connection):
        connection.sendall(HEAD + head)
        while len(sent) < 10_000:
            connection.sendall(chunk(b"x" * 10_000) if b"chunked" in head else b"x" * 10_000)
            sent.append(10_000)

    server.script = script
    with pytest.raises(TooLarge):
        ask(server)
    assert len(sent) < 10_000


def test_a_long_or_cut_refusal_is_judged_by_its_status(server):
    for length in (10, 1_000_000):
        server.script = sending(b"HTTP/1.1 502 Bad\r\nContent-Length: 9999999\r\n\r\n" + b"x" * length)
        with pytest.raises(UpstreamUnavailable, match="status 502"):
            ask(server)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnavailable) as caught:
        asking(f"http://127.0.0.1:{port}").job(JOB)
    assert not caught.value.sent
    assert "refused" in caught.value.message.lower()


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "nowhere.invalid"])
def test_a_host_without_an_address(host):
    with pytest.raises(UpstreamUnavailable) as caught:
        asking(f"http://{host}").job(JOB)
    assert not caught.value.sent


def test_no_tls_where_tls_is_asked_for(server):
    server.script = sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(UpstreamUnavailable) as caught:
        asking(server.url.replace("http:", "https:"), certificates()).job(JOB)
    assert not caught.value.sent


def test_an_exchange_over_tls(tls):
    as_server, believing = tls
    with serving(as_server) as server:
        server.script = sending(HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK)
        assert asking(server.url, believing).job(JOB)[1] == OK
        assert len(server.requests) == 1


def test_a_certificate_that_is_not_trusted_or_not_of_the_host(tls):
    as_server, believing = tls
    with serving(as_server) as server:
        other = server.url.replace("127.0.0.1", "localhost")
        for url, context in [(server.url, certificates()), (other, believing)]:
            with pytest.raises(UpstreamUnavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
                asking(url, context).job(JOB)
            assert not caught.value.sent
        assert server.requests == []


def test_a_handshake_that_never_ends(server):
    server.script = trickling(b"\x16\x03\x03\x40\x00", b"\x00")
    started = time.monotonic()
    with pytest.raises(UpstreamUnavailable) as caught:
        asking(server.url.replace("http:", "https:"), certificates(), connect_s=3, total_s=0.2).job(JOB)
    assert not caught.value.sent
    assert time.monotonic() - started < 2


NAMES = st.sampled_from(["Location", "Set-Cookie", "Content-Encoding", "Content-Type", "Retry-After", "Date", "Link"])
NASTY = st.binary(max_size=30) | st.sampled_from(
    [b"http://[::1", b"http://a:b:c/", b"//", b"http://\xff/", b"a=b; expires=x; Max-Age=y", b"gzip", b"x" * 9000]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.integers(200, 599), headers=st.lists(st.tuples(NAMES, NASTY), max_size=3), body=st.binary(max_size=60))
@example(status=302, headers=[("Location", b"http://[::1")], body=b"")
@example(status=302, headers=[("Location", b"https://:99999999/")], body=b"")
@example(status=301, headers=[("Location", b"http://\xff\xfe")], body=b"")
def test_any_answer_is_read_or_ours(server, status, headers, body):
    lines = b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in headers)
    server.script = sending(b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, lines, body))
    with contextlib.suppress(ServiceError):
        ask(server)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(max_size=80))
def test_any_bytes_are_ours(server, answer):
    server.script = sending(answer)
    with pytest.raises((UpstreamUnavailable, UnreadableAnswer)):
        ask(server)
