"""Files fetched from URLs that an answer of Swiftia named, streamed and never whole in memory."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from workers.errors import DownloadFailed, InvalidInput, TargetRefused, TooLarge, UpstreamRefused

_LONGEST_URL = 8192
_HOST = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
_LAST_PORT = 65_535
_LONGEST_WAIT_S = 86_400
# Of all 4xx these three are about the moment; the others say that the file will not come from this URL again.
_TEMPORARY = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Download:
    """``size``: bytes as announced, or None. ``chunks``: the bytes, once; raises if they are cut, late or too many."""

    size: int | None
    chunks: Iterator[bytes]


class Downloads:
    """``client`` decides what may be connected to. ``deadline_s``: seconds from opening to the last byte."""

    def __init__(
        self,
        client: httpx2.Client,
        *,
        max_bytes: int,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._clock = clock

    @contextmanager
    def open(self, url: str) -> Iterator[Download]:
        """Yield the file behind ``url``.

        Raises InvalidInput or TargetRefused for the URL, TooLarge, UpstreamRefused (``kind="file-gone"``) for a 4xx
        that stays, and DownloadFailed for whatever a later attempt can mend.
        """
        target = _parse(url)
        deadline = self._clock() + self._deadline_s
        response = self._send(target, deadline)
        try:
            _judge(response, target.host)
            size = self._announced(response)
            yield Download(size, self._chunks(response, size, deadline))
        finally:
            response.close()

    def _send(self, url: httpx2.URL, deadline: float) -> httpx2.Response:
        # A guarded client holds the deadline for headers too; others know nothing of it and ignore it.
        with _failing(url.host):
            request = self._client.build_request(
                "GET", url, headers={"Accept-Encoding": "identity"}, extensions={"deadline": deadline}
            )
            return self._client.send(request, stream=True, follow_redirects=True)

    def _announced(self, response: httpx2.Response) -> int | None:
        text = response.headers.get("content-length", "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 20):  # noqa: PLR2004 - int() balks at thousands
            return None
        if int(text) > self._max_bytes:
            raise self._too_large()
        return int(text)

    def _chunks(self, response: httpx2.Response, size: int | None, deadline: float) -> Iterator[bytes]:
        host = response.url.host
        received = 0
        with _failing(host):
            for chunk in response.iter_raw():
                received += len(chunk)
                if received > self._max_bytes:
                    raise self._too_large()
                if self._clock() > deadline:
                    raise DownloadFailed(f"{host} did not send the file within {self._deadline_s:g} s; trying later")
                yield chunk
        if size is not None and received != size:
            raise DownloadFailed(f"{host} announced {size} bytes and sent {received}; trying later")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the file is larger than the {self._max_bytes} bytes that one download may have")


def _parse(url: str) -> httpx2.URL:
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        raise InvalidInput(f"a file's URL is text of at most {_LONGEST_URL} characters")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InvalidInput(f"a file's URL cannot be read: {str(error)[:80]!r}") from error
    if parsed.scheme not in {"http", "https"}:
        raise TargetRefused(f"files are fetched from http and https URLs, not {parsed.scheme[:20]!r}")
    if _HOST.fullmatch(parsed.raw_host.decode("ascii")) is None or (parsed.port or 0) > _LAST_PORT:
        raise InvalidInput("a file's URL names no host, or one or a port that cannot exist")
    return parsed


def _judge(response: httpx2.Response, host: str) -> None:
    status = response.status_code
    if 400 <= status < 500 and status not in _TEMPORARY:  # noqa: PLR2004 - the range is the meaning
        raise UpstreamRefused(
            f"{host} answered {status} for the file; ask Swiftia for its URL again", status=status, kind="file-gone"
        )
    if status != httpx2.codes.OK:
        raise DownloadFailed(f"{host} answered {status} for the file; trying later", retry_after=_wait(response))
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise DownloadFailed(f"{host} sent the file encoded as {encoding[:20]!r} although it was asked not to")


def _wait(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):  # noqa: PLR2004 - int() balks at thousands
        return None
    return float(min(int(text), _LONGEST_WAIT_S))


@contextmanager
def _failing(host: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise DownloadFailed(f"{host} did not answer in time: {error}; trying later") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise DownloadFailed(f"the download from {host} broke off: {error}; trying later") from error
