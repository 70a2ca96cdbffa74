"""An HTTP client for URLs that somebody else wrote: it connects to public addresses and trusted networks only.

A check before the request is not enough: the name may resolve to something else a moment later, and a redirect names
the next host. So the check sits where connections are made (``dialing.py``). TLS still asks for, and verifies, the name
in the URL.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpcore2
import httpx2

from workers.addresses import Network
from workers.certificates import certificates
from workers.dialing import GuardedBackend, Resolve
from workers.errors import TargetRefused
from workers.timedstreams import Clock, Deadline

MAX_REDIRECTS = 5
_LAST_PORT = 65_535


def guarded_client(
    *,
    trusted: Sequence[Network] = (),
    connect_s: float = 5,
    read_s: float = 20,
    total_s: float = 60,
    headers: dict[str, str] | None = None,
    resolve: Resolve = socket.getaddrinfo,
    clock: Clock = time.monotonic,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx2.Client:
    """Build the client. Raises TargetRefused from any request whose host must not be connected to.

    ``connect_s`` and ``read_s`` bound single waits. ``total_s`` bounds a request with its redirects and its body; a
    request may bring its own end as ``extensions={"deadline": <a time of clock>}``. Follows at most 5 redirects, never
    from https to http. Keeps no cookies, and takes neither proxies nor passwords from the environment. How long a name
    server may stay silent is the resolver's own setting.
    """
    context = ssl_context or certificates()
    return httpx2.Client(
        transport=GuardedTransport(trusted, resolve=resolve, clock=clock, total_s=total_s, ssl_context=context),
        timeout=httpx2.Timeout(read_s, connect=connect_s),
        headers=headers,
        trust_env=False,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
    )


class GuardedTransport(httpx2.BaseTransport):
    """One connection for one request: so each is checked, and the deadline of a request holds for all it reads."""

    def __init__(
        self,
        trusted: Sequence[Network],
        *,
        resolve: Resolve,
        clock: Clock,
        total_s: float,
        ssl_context: ssl.SSLContext,
    ) -> None:
        self._trusted = trusted
        self._resolve = resolve
        self._clock = clock
        self._total_s = total_s
        self._ssl_context = ssl_context

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        _check(request)
        pool = self._pool(
            Deadline(request.extensions.setdefault("deadline", self._clock() + self._total_s), self._clock)
        )
        try:
            with _errors_of_httpx2():
                answer = pool.handle_request(_request_of_httpcore2(request))
        except BaseException:
            pool.close()
            raise
        return _above(answer, pool)

    def _pool(self, deadline: Deadline) -> httpcore2.ConnectionPool:
        backend = GuardedBackend(httpcore2.SyncBackend(), self._trusted, resolve=self._resolve, deadline=deadline)
        return httpcore2.ConnectionPool(ssl_context=self._ssl_context, network_backend=backend, max_connections=1)


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response, pool: httpcore2.ConnectionPool) -> None:
        self._answer = answer
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx2():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
        self._pool.close()


def _check(request: httpx2.Request) -> None:
    url = request.url
    if url.scheme not in {"http", "https"}:
        raise TargetRefused(f"only http and https URLs are followed, not {url.scheme[:20]!r}", host=url.host)
    if url.userinfo:
        raise TargetRefused("a URL with a user name or password in it is not followed; leave them out", host=url.host)
    if (url.port or 0) > _LAST_PORT:
        raise TargetRefused(f"{url.port} is no port", host=url.host)
    # The client hands the extensions of a request on to the request that follows its redirect.
    if request.extensions.get("came_from_https") and url.scheme == "http":
        raise TargetRefused(f"a redirect from https to http ({url.host}) is not followed", host=url.host)
    request.extensions["came_from_https"] = url.scheme == "https"


def _above(answer: httpcore2.Response, pool: httpcore2.ConnectionPool) -> httpx2.Response:
    body = _Body(answer, pool)
    response = httpx2.Response(
        answer.status,
        headers=[(name, value) for name, value in answer.headers if name.lower() != b"set-cookie"],
        stream=body,
        extensions=answer.extensions,
    )
    if not response.has_redirect_location:
        return response
    # The client reads the whole body of a redirect into memory before it follows it, however long that is.
    body.close()
    return httpx2.Response(answer.status, headers=[pair for pair in answer.headers if pair[0].lower() == b"location"])


def _request_of_httpcore2(request: httpx2.Request) -> httpcore2.Request:
    """Write a request in the words of the library below."""
    url = request.url
    below = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore2.Request(
        request.method, below, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


@contextmanager
def _errors_of_httpx2() -> Iterator[None]:
    """Raise what the library below raises as the error of the same name that httpx2 has."""
    try:
        yield
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
    ) as error:
        # Both libraries name them alike.
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__)
        raise kind(str(error)) from None
