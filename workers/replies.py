"""What the server of a file replies: whether it is the file, or the part of it that was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import httpx2

from workers.errors import DownloadFailed, RangeRefused, UpstreamRefused
from workers.validators import Span, is_same, length, span

_LONGEST_WAIT_S: Final = 86_400
# Of all 4xx these three are about the moment; the others say that the file will not come from this URL again.
_TEMPORARY: Final = {408, 425, 429}
# What a request for a part may get from a server where one for the whole file would not.
_NO_SUCH_PART: Final = {400, 412, 416}


class Beginning(Protocol):
    """``size``: bytes that are there, the beginning of what ``validator`` names, ``total`` long."""

    size: int

    @property
    def validator(self) -> str: ...
    @property
    def total(self) -> int | None: ...


@contextmanager
def failing(host: str) -> Iterator[None]:
    """Turn what the client raises into ``DownloadFailed``."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise DownloadFailed(f"{host} did not answer in time: {error}; trying later") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise DownloadFailed(f"the download from {host} broke off: {error}; trying later") from error


def judge(response: httpx2.Response, host: str, *, ranged: bool) -> None:
    """Raise what ``Downloads.open`` raises for a reply. ``ranged``: it was to be a part.

    ``host``: which was asked, whoever replied.
    """
    status = response.status_code
    if ranged and status in _NO_SUCH_PART:
        raise RangeRefused(f"{host} has no such part of the file; trying from the beginning")
    if 400 <= status < 500 and status not in _TEMPORARY:  # noqa: PLR2004 - the range is the meaning
        raise UpstreamRefused(
            f"{host} answered {status} for the file; ask Swiftia for its URL again", status=status, kind="file-gone"
        )
    if status != httpx2.codes.OK and not (ranged and status == httpx2.codes.PARTIAL_CONTENT):
        raise DownloadFailed(f"{host} answered {status} for the file; trying later", retry_after=_wait(response))
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise DownloadFailed(f"{host} sent the file encoded as {encoding[:20]!r} although it was asked not to")


def rest(response: httpx2.Response, after: Beginning) -> Span:
    """Tell which part it is. Raise ``RangeRefused`` if it does not follow ``after``."""
    found = span(response.headers.get("content-range", ""))
    fits = found is not None and (found.start, found.total) == (after.size, after.total)
    if found is None or not fits or not is_same(after.validator, response.headers):
        raise RangeRefused(
            f"{response.url.host} sent a part that does not follow what is here; trying from the beginning"
        )
    return found


def _wait(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    seconds = length(text)
    return None if seconds is None else float(min(seconds, _LONGEST_WAIT_S))
