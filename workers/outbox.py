"""What is announced to the team's application, and to which targets. Pure: the ledger's scripts write it down."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from workers.addresses import check_url
from workers.errors import InvalidInput

# The names stand in the ledger and in what was sent: they stay.
EVENTS: Final = ("job.completed", "render.kept", "render.failed", "job.finished", "job.failed", "job.parked")
HANDLER: Final = "handler"
_LONGEST_URL: Final = 2048


@dataclass(frozen=True, slots=True)
class Outbox:
    """``targets``: the target's name of jobs that have none of their own, by account; those of no account under "".

    ``events``: which are announced at all.
    """

    targets: Mapping[str, str]
    events: frozenset[str]


NOTHING: Final = Outbox({}, frozenset())


def target_of(url: str) -> str:
    """Name where a URL leads. What goes to one host, whatever the path, waits in one line: they fail together.

    >>> target_of("https://app.example.org/a") == target_of("https://APP.example.org:443/b?c")
    True
    """
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return hashlib.sha256(f"{parts.scheme}://{parts.hostname}:{port}".encode()).hexdigest()[:12]


def delivery_url(text: object) -> str:
    """Return a URL that deliveries may be sent to. Raise ``InvalidInput`` for anything else."""
    if not isinstance(text, str) or len(text) > _LONGEST_URL:
        raise InvalidInput(f"a delivery URL is text of at most {_LONGEST_URL} characters")
    try:
        return check_url(text)
    except ValueError as error:
        raise InvalidInput(f"the delivery URL {error}") from None
