"""Downloads through the guarded client from servers on this machine that behave well or badly."""

import ipaddress
import socket
import ssl
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.site import Answer, sending, serving
from workers.downloads import Downloads
from workers.errors import DownloadFailed, InvalidInput, ServiceError, TargetRefused, TooLarge, UpstreamRefused
from workers.guarded import guarded_client

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
# Reading the certificate authorities takes longer than most of these tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MIB = 1 << 20


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with guarded_client(trusted=LOOPBACK, read_s=5, ssl_context=NO_TLS) as client:
        yield client


def fetched(client: httpx2.Client, answer: Answer, *, max_bytes: int = MIB, deadline_s: float = 10) -> bytes:
    with serving(answer) as site, Downloads(client, max_bytes=max_bytes, deadline_s=deadline_s).open(site.url) as file:
        return b"".join(file.chunks)


def test_a_file_arrives_with_its_size(client):
    with serving(sending(b"video", content_length="5")) as site:
        with Downloads(client, max_bytes=5, deadline_s=10).open(site.url) as file:
            assert (file.size, b"".join(file.chunks)) == (5, b"video")
        assert site.headers_seen[0]["accept-encoding"] == "identity"


def test_a_file_of_unannounced_size_arrives(client):
    with serving(sending(b"video")) as site, Downloads(client, max_bytes=5, deadline_s=10).open(site.url) as file:
        assert (file.size, b"".join(file.chunks)) == (None, b"video")


def test_a_file_in_frames_arrives(client):
    assert fetched(client, sending(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", transfer_encoding="chunked")) == b"abcde"


@pytest.mark.parametrize(
    "answer",
    [
        sending(b"vid", content_length="5"),
        sending(b"3\r\nabc\r\n", transfer_encoding="chunked"),
        sending(b"zz\r\nabc\r\n", transfer_encoding="chunked"),
        sending(b"x", content_length="abc"),
        sending(b"x", content_length="-1"),
        sending(b"x", content_length="9" * 5000),
        sending(b"x", content_encoding="gzip"),
        sending(b"x", content_encoding="identity, br"),
        sending(status=302, location="/video.mp4", content_length="0"),
        sending(status=304),
        sending(status=204),
        sending(b"part", status=206, content_length="4"),
        sending(status=300),
    ],
)
def test_what_may_go_better_another_time_is_temporary(client, answer):
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1"):
        fetched(client, answer)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize(
    ("said", "wait"), [("7", 7.0), ("9" * 19, 86_400.0), ("soon", None), ("-1", None), ("9" * 999, None)]
)
def test_a_busy_server_says_when_to_come_back(client, status, said, wait):
    with pytest.raises(DownloadFailed) as caught:
        fetched(client, sending(status=status, retry_after=said))
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451, 499])
def test_a_file_that_is_gone_is_permanent(client, status):
    with pytest.raises(UpstreamRefused, match="ask Swiftia for its URL again") as caught:
        fetched(client, sending(status=status))
    assert (caught.value.status, caught.value.kind) == (status, "file-gone")


def test_too_many_announced_bytes_are_refused_at_once(client):
    with pytest.raises(TooLarge, match="1048576"):
        fetched(client, sending(content_length=str(MIB + 1)))


@pytest.mark.parametrize("headers", [{}, {"transfer_encoding": "chunked"}])
def test_too_many_bytes_are_cut_off_whatever_was_announced(client, headers):
    body = b"400\r\n" + b"x" * 1024 + b"\r\n" if headers else b"x" * 1024

    def endless(request: BaseHTTPRequestHandler) -> None:
        sending(**headers)(request)
        while True:
            request.wfile.write(body)

    with pytest.raises(TooLarge):
        fetched(client, endless)


def test_a_trickle_ends_with_the_deadline(client):
    def trickle(request: BaseHTTPRequestHandler) -> None:
        sending()(request)
        while True:
            request.wfile.write(b"x")
            time.sleep(0.01)

    began = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"in time|within"):
        fetched(client, trickle, deadline_s=0.4)
    assert time.monotonic() - began < 3


def test_a_silent_server_ends_with_the_deadline(client):
    with pytest.raises(DownloadFailed, match="in time"):
        fetched(client, lambda _request: time.sleep(1), deadline_s=0.2)


def test_a_reset_is_temporary(client):
    def reset(request: BaseHTTPRequestHandler) -> None:
        sending(b"vid", content_length="5")(request)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        request.connection.close()

    with pytest.raises(DownloadFailed):
        fetched(client, reset)


def test_nobody_there_is_temporary(client):
    with pytest.raises(DownloadFailed), Downloads(client, max_bytes=9, deadline_s=9).open("http://127.0.0.1:9/"):
        pass


def test_a_redirect_to_an_inner_address_is_refused(client):
    with pytest.raises(TargetRefused, match="metadata"):
        fetched(client, sending(status=302, location="http://169.254.169.254/"))


def test_an_error_of_the_reader_is_passed_on(client):
    downloads = Downloads(client, max_bytes=5, deadline_s=10)
    with serving(sending(b"video", content_length="5")) as site, pytest.raises(KeyError), downloads.open(site.url):
        raise KeyError


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///x", "https://[", "http://h:99999/", "http://h:x/", "http://\x00/", "http://\ud800/", "http://h/\ud800",
     "http://h/" + "x" * 9000, "http://ex ample/", None, 7, b"http://h/"],
    ids=lambda url: ascii(url)[:40],
)  # fmt: skip
def test_an_unreadable_url_is_invalid_input(client, url):
    with pytest.raises(InvalidInput), Downloads(client, max_bytes=9, deadline_s=9).open(url):
        pass


@pytest.mark.parametrize(
    "url", ["", "ftp://h/x", "file:///etc/passwd", "data:,x", "//h/x", "/etc/passwd", "javascript:1", "x"]
)
def test_only_http_is_fetched(client, url):
    with pytest.raises(TargetRefused, match="http and https"), Downloads(client, max_bytes=9, deadline_s=9).open(url):
        pass


@given(st.text() | st.text().map("http://{}".format) | st.text().map("https://127.0.0.1/{}".format))
@settings(max_examples=200, deadline=None)
def test_any_text_is_fetched_or_refused_as_ours(url):
    everything_is_empty = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=b""))
    with httpx2.Client(transport=everything_is_empty) as client:
        try:
            with Downloads(client, max_bytes=9, deadline_s=9).open(url) as file:
                assert list(file.chunks) in ([], [b""])
        except ServiceError:
            return


def test_another_number_of_bytes_than_announced_is_noticed_without_the_library():
    wrong = httpx2.Response(200, headers={"content-length": "5"}, stream=httpx2.ByteStream(b"vid"))
    with httpx2.Client(transport=httpx2.MockTransport(lambda _request: wrong)) as client:
        downloads = Downloads(client, max_bytes=9, deadline_s=9)
        with downloads.open("http://h/") as file, pytest.raises(DownloadFailed, match="announced 5 bytes and sent 3"):
            list(file.chunks)


def test_a_long_file_is_never_whole_in_memory(client):
    def long(request: BaseHTTPRequestHandler) -> None:
        sending(content_length=str(64 * MIB))(request)
        piece = b"x" * MIB
        for _ in range(64):
            request.wfile.write(piece)

    with serving(long) as site:
        tracemalloc.start()
        try:
            with Downloads(client, max_bytes=64 * MIB, deadline_s=60).open(site.url) as file:
                received = sum(len(chunk) for chunk in file.chunks)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert received == 64 * MIB
    assert peak < 8 * MIB
