"""The guarded client against real servers on this machine, with name servers of our own."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import ServiceError, TargetRefused
from workers.guarded import guarded_client

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
Answer = Callable[[BaseHTTPRequestHandler], None]


# Reading the certificate authorities takes longer than most of these tests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def reaching(*, ssl_context: ssl.SSLContext = NO_TLS, **options: Any) -> httpx2.Client:
    return guarded_client(ssl_context=ssl_context, **options)


class Site(ThreadingHTTPServer):
    """Serves ``pages`` and remembers what was asked of it."""

    block_on_close = False  # a page that trickles on purpose must not hold up the end of a test

    def __init__(self, pages: dict[str, Answer]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request, client_address) -> None:
        """Say nothing: clients of these tests hang up often."""

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.close_connection = True
        self.server.pages[self.path](self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def page(body: bytes = b"hello", status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in ({"content_length": str(len(body))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@contextmanager
def serving(pages: dict[str, Answer], tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    with Site(pages) as site:
        if tls:
            site.socket = tls.wrap_socket(site.socket, server_side=True)
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


class Names:
    """A name server whose answers for a name follow each other; the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        answers = self.answers[host.partition(".")[0]]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def test_a_trusted_server_is_reached():
    with serving({"/": page()}) as site, reaching(trusted=LOOPBACK) as client:
        assert client.get(site.url()).content == b"hello"


def test_an_untrusted_server_is_refused_before_a_byte_is_sent():
    with serving({"/": page()}) as site, reaching() as client:
        with pytest.raises(TargetRefused, match=r"127\.0\.0\.1 is a loopback address.*TRUSTED_NETWORKS") as caught:
            client.get(site.url())
        assert caught.value.values == {"host": "127.0.0.1", "address": "127.0.0.1"}
        assert site.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "127.1", "100.64.0.1", "017700000001", "0", "0.0.0.0",  # noqa: S104 - refused
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "localhost",
        "LOCALHOST", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "[fe80::1]", "2852039166", "0xa9fea9fe",
    ],
)  # fmt: skip
def test_every_spelling_of_an_inner_address_is_refused(host):
    with reaching(connect_s=1) as client, pytest.raises(TargetRefused):
        client.get(f"http://{host}:9/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.",
        "0177.0.0.1",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "localhost.",
        "ⓛocalhost",
        "[fe80::1%25lo]",
    ],
)
def test_odd_dots_and_digits_never_reach_an_inner_address(host):
    refused = (TargetRefused, httpx2.InvalidURL, httpx2.ConnectError)
    with serving({"/": page()}) as site, reaching(connect_s=1) as client:
        with pytest.raises(refused):
            client.get(site.url(host=host))
        assert site.asked == []


def test_one_inner_address_among_public_ones_refuses_the_host():
    names = Names(mixed=[["93.184.216.34", "10.0.0.1"]])
    with reaching(resolve=names) as client, pytest.raises(TargetRefused, match=r"10\.0\.0\.1 is a private"):
        client.get("http://mixed.example/")


def test_a_name_that_changes_after_the_check_is_not_asked_again():
    names = Names(rebind=[["127.0.0.1"], ["10.0.0.1"]])
    with serving({"/": page()}) as site, reaching(trusted=LOOPBACK, resolve=names) as client:
        assert client.get(site.url(host="rebind.example")).content == b"hello"
        assert names.asked == ["rebind.example"]
        assert site.asked[0][1]["host"] == f"rebind.example:{site.server_port}"
        with pytest.raises(TargetRefused, match=r"10\.0\.0\.1"):
            client.get(site.url(host="rebind.example"))


def test_the_next_address_is_tried_when_one_does_not_answer():
    names = Names(two=[["127.0.0.2", "127.0.0.1"]])
    with serving({"/": page()}) as site, reaching(trusted=LOOPBACK, resolve=names) as client:
        assert client.get(site.url(host="two.example")).content == b"hello"


@pytest.mark.parametrize("found", [[], ["127.0.0.1"] * 50 + ["127.0.0.3"]])
def test_a_host_without_a_working_address_cannot_be_connected(found):
    with reaching(trusted=LOOPBACK, resolve=Names(none=[found])) as client, pytest.raises(httpx2.ConnectError):
        client.get("http://none.example:9/")


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_resolved_is_a_connect_error(error):
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise error

    with reaching(resolve=resolve) as client, pytest.raises(httpx2.ConnectError, match=r"gone\.example"):
        client.get("http://gone.example/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_an_inner_address_is_refused(status):
    pages = {"/": page(b"", status, location="http://127.0.0.1/latest/meta-data/")}
    only_this = [ipaddress.ip_network("127.0.0.1/32")]
    with serving(pages) as site:
        pages["/"] = page(b"", status, location="http://169.254.169.254/latest/meta-data/")
        with reaching(trusted=only_this) as client, pytest.raises(TargetRefused, match="metadata"):
            client.get(site.url())


@pytest.mark.parametrize(
    "location",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:99999/",
    ],
)
def test_a_redirect_to_another_kind_of_url_is_refused(location):
    elsewhere = page(b"", 302, location=location)
    with serving({"/": elsewhere}) as site, reaching(trusted=LOOPBACK) as client, pytest.raises(TargetRefused):
        client.get(site.url())


def test_a_password_in_a_url_is_refused():
    with serving({"/": page()}) as site, reaching(trusted=LOOPBACK) as client:
        with pytest.raises(TargetRefused, match="password"):
            client.get(site.url(host="user:secret@127.0.0.1"))
        assert site.asked == []


def test_five_redirects_are_followed_and_no_more():
    pages = {f"/{n}": page(b"", 302, location=f"/{n + 1}") for n in range(6)} | {"/6": page()}
    with serving(pages) as site, reaching(trusted=LOOPBACK) as client:
        assert client.get(site.url("/1")).content == b"hello"
        with pytest.raises(httpx2.TooManyRedirects):
            client.get(site.url("/0"))


def test_the_body_of_a_redirect_is_not_read():
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("location", "/there")
        request.end_headers()
        while True:
            request.wfile.write(b"x" * 65536)

    with serving({"/": endless, "/there": page()}) as site, reaching(trusted=LOOPBACK, total_s=5) as client:
        assert client.get(site.url()).content == b"hello"


def test_cookies_are_neither_kept_nor_sent():
    pages = {"/": page(b"", 302, location="/there", set_cookie="a=b; Path=/"), "/there": page(set_cookie="c=d")}
    with serving(pages) as site, reaching(trusted=LOOPBACK) as client:
        client.get(site.url())
        client.get(site.url("/there"))
        assert not client.cookies
        assert all("cookie" not in headers for _, headers in site.asked)


@pytest.mark.parametrize("slow", ["headers", "body"])
def test_a_trickle_ends_with_the_deadline(slow):
    def trickle(request: BaseHTTPRequestHandler) -> None:
        if slow == "body":
            request.send_response(200)
            request.end_headers()
        while True:
            request.wfile.write(b"x")
            time.sleep(0.02)

    with serving({"/": trickle}) as site, reaching(trusted=LOOPBACK, total_s=0.4) as client:
        began = time.monotonic()
        with pytest.raises(httpx2.ReadTimeout):
            client.get(site.url())
        assert time.monotonic() - began < 3


def test_the_deadline_spans_all_redirects():
    def late(request: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        page(b"", 302, location="/")(request)

    with serving({"/": late}) as site, reaching(trusted=LOOPBACK, total_s=0.3) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.get(site.url())
        assert len(site.asked) == 2


@pytest.mark.parametrize(
    "said",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9", b"\x00" * 99,
     b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
     b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 302 Found\r\nlocation: http://[\r\n\r\n",
     b"HTTP/1.1 302 Found\r\nlocation: \xff\xfe\r\ncontent-length: 0\r\n\r\n"],
    ids=lambda said: ascii(said)[:40],
)  # fmt: skip
def test_nonsense_from_a_server_is_an_http_error(said):
    with _saying(said) as url, reaching(trusted=LOOPBACK) as client, pytest.raises(httpx2.HTTPError):
        client.get(url)


@given(said=st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 " + tail) | st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_answer_is_an_answer_or_an_error_of_ours(said):
    with _saying(said) as url, reaching(trusted=LOOPBACK) as client:
        try:
            client.get(url)
        except (httpx2.HTTPError, ServiceError):
            return


@contextmanager
def _saying(said: bytes) -> Iterator[str]:
    def talk() -> None:
        # Nobody may come a second time, as after a redirect.
        with server, server.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(said)

    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    thread = threading.Thread(target=talk)
    thread.start()
    yield url
    thread.join()


def test_tls_verifies_the_name_and_not_the_address(tls):
    asked_for: list[str | None] = []
    tls[0].sni_callback = lambda _socket, name, _context: asked_for.append(name)
    names = Names(files=[["127.0.0.1"]], other=[["127.0.0.1"]])
    with (
        serving({"/": page()}, tls[0]) as site,
        reaching(trusted=LOOPBACK, resolve=names, ssl_context=tls[1]) as client,
    ):
        assert client.get(site.url(host="files.example", scheme="https")).content == b"hello"
        with pytest.raises(httpx2.ConnectError, match=r"not valid for 'other\.example'"):
            client.get(site.url(host="other.example", scheme="https"))
        assert asked_for == ["files.example", "other.example"]


def test_a_redirect_from_https_to_http_is_refused(tls):
    names = Names(files=[["127.0.0.1"]])
    client = reaching(trusted=LOOPBACK, resolve=names, ssl_context=tls[1])
    with serving({"/": page()}) as plain, serving({}, tls[0]) as site, client:
        site.pages["/"] = page(b"", 302, location=plain.url())
        with pytest.raises(TargetRefused, match="https to http"):
            client.get(site.url(host="files.example", scheme="https"))
        assert plain.asked == []


def test_a_redirect_from_http_to_https_and_back_is_refused(tls):
    names = Names(files=[["127.0.0.1"]], plain=[["127.0.0.1"]])
    client = reaching(trusted=LOOPBACK, resolve=names, ssl_context=tls[1])
    with serving({"/last": page()}) as plain, serving({}, tls[0]) as site, client:
        plain.pages["/"] = page(b"", 302, location=site.url(host="files.example", scheme="https"))
        site.pages["/"] = page(b"", 302, location=plain.url("/last", host="plain.example"))
        with pytest.raises(TargetRefused, match="https to http"):
            client.get(plain.url(host="plain.example"))
        assert [path for path, _ in plain.asked] == ["/"]
