"""Files fetched from URLs that an answer of Swiftia named, streamed and never whole in memory.

A download that breaks off is gone on with by ``Range``, where the server provably still has the same file: it answers
206 with the validator and the length of before (RFC 9110). Otherwise it begins anew.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import httpx2
import structlog

from workers import tracing
from workers.errors import (
    DownloadFailed,
    InvalidInput,
    RangeRefused,
    TargetRefused,
    TooLarge,
    WrongFile,
)
from workers.replies import Beginning, failing, judge, rest
from workers.validators import length, validator

_LONGEST_URL = 8192
_HOST = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
_LAST_PORT = 65_535
# So often one call of ``bring`` connects, as long as each connection gets further than the one before.
CONNECTIONS: Final = 5
_log = structlog.get_logger("downloads")


class Unfinished(Beginning, Protocol):
    """Where a file goes."""

    def begin(self, validator: str = "", total: int | None = None, /) -> None: ...
    def write(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Download:
    """``size``: bytes of the whole file as announced, or None. ``start``: where ``chunks`` begins. ``validator``: by
    which the rest can be asked for, or empty. ``chunks``: the bytes, once; raises if they are cut, late or too many.
    """

    size: int | None
    chunks: Iterator[bytes]
    start: int = 0
    validator: str = ""


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

    def bring(self, url: str, into: Unfinished, *, stated: int | None = None) -> None:
        """Fetch the file, or what is missing of it. ``stated``: its size in bytes, if somebody said so.

        Raises what ``open`` raises, and WrongFile when the size is another one. What came until then is in ``into``.
        """
        with tracing.span("download", kind="client") as span:
            self._bring(url, into, stated)
            span.set(size=into.size)

    def _bring(self, url: str, into: Unfinished, stated: int | None) -> None:
        deadline = self._clock() + self._deadline_s
        for left in reversed(range(CONNECTIONS)):
            before = into.size
            try:
                return self._go_on(url, into, stated, deadline)
            except RangeRefused:
                into.begin()
                if not left:
                    raise
            except WrongFile:
                raise
            except DownloadFailed:
                if not left or into.size <= before or not (into.validator and into.total):
                    raise
        raise AssertionError("the last connection ends the loop")

    @contextmanager
    def open(self, url: str, after: Unfinished | None = None, *, deadline: float | None = None) -> Iterator[Download]:
        """Yield the file behind ``url``, or what follows ``after`` if the server has the rest of that.

        Raises InvalidInput or TargetRefused for the URL, TooLarge, UpstreamRefused (``kind="file-gone"``) for a 4xx
        that stays, RangeRefused for an answer that follows nothing, and DownloadFailed for whatever a later attempt can
        mend.
        """
        target = _parse(url)
        deadline = self._clock() + self._deadline_s if deadline is None else deadline
        after = after if after is not None and after.size and after.validator and after.total else None
        response = self._send(target, deadline, after)
        _log.debug("download.answered", host=target.host, status=response.status_code)
        try:
            judge(response, target.host, ranged=after is not None)
            part = None if after is None or response.status_code == httpx2.codes.OK else rest(response, after)
            size = length(response.headers.get("content-length", "")) if part is None else part.stop - part.start
            total, start = (size, 0) if part is None else (part.total, part.start)
            if total is not None and total > self._max_bytes:
                raise self._too_large()
            chunks = self._chunks(response, size, self._max_bytes - start, deadline)
            yield Download(total, chunks, start, validator(response.headers))
        finally:
            response.close()

    def _go_on(self, url: str, into: Unfinished, stated: int | None, deadline: float) -> None:
        if stated is not None and into.total not in {None, stated}:
            into.begin()
        if into.size and into.size == into.total:
            return
        with self.open(url, into, deadline=deadline) as file:
            whole = file.size if stated is None else stated
            if file.size not in {None, whole}:
                raise _wrong(file.size, whole)
            if file.start:
                _log.info("download.goes_on", at=file.start, of=whole)
            else:
                into.begin(file.validator, whole)
            for chunk in file.chunks:
                into.write(chunk)
                if whole is not None and into.size > whole:
                    raise _wrong(into.size, whole)
        if whole is not None and into.size < whole:
            raise DownloadFailed(f"{into.size} of the {whole} bytes of the file came; trying later")

    def _send(self, url: httpx2.URL, deadline: float, after: Unfinished | None) -> httpx2.Response:
        headers = {"Accept-Encoding": "identity"}
        if after is not None:
            headers |= {"Range": f"bytes={after.size}-", "If-Range": after.validator}
        # A guarded client holds the deadline for headers too; others know nothing of it and ignore it.
        with failing(url.host):
            request = self._client.build_request("GET", url, headers=headers, extensions={"deadline": deadline})
            return self._client.send(request, stream=True, follow_redirects=True)

    def _chunks(self, response: httpx2.Response, size: int | None, most: int, deadline: float) -> Iterator[bytes]:
        host = response.url.host
        received = 0
        with failing(host):
            for chunk in response.iter_raw():
                received += len(chunk)
                if received > most:
                    raise self._too_large()
                if self._clock() > deadline:
                    raise DownloadFailed(f"{host} did not send the file within {self._deadline_s:g} s; trying later")
                yield chunk
        if size is not None and received != size:
            raise DownloadFailed(f"{host} announced {size} bytes and sent {received}; trying later")

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the file is larger than the {self._max_bytes} bytes that one download may have")


def _wrong(size: int | None, whole: int | None) -> WrongFile:
    return WrongFile(f"the file should have {whole} bytes and has {size}; it is fetched again from its beginning")


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
