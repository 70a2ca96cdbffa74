"""What ``check`` finds, one by one, and how a look that fails becomes a finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from redis import RedisError

from workers.errors import LedgerUnavailable, ServiceError

OK: Final = "ok"
WARN: Final = "warn"
BAD: Final = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: ok, warn or bad. ``fix`` is empty where nothing is wrong."""

    level: str
    what: str
    found: str
    fix: str = ""


def careful(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except LedgerUnavailable as error:
        yield Finding(BAD, what, "not known, because Redis does not answer", error.message)
    except ServiceError as error:
        said, _, fix = error.message.rpartition("; ")
        yield Finding(BAD, what, said, fix)
    except RedisError as error:
        yield Finding(BAD, what, f"Redis does not answer ({type(error).__name__})", "start it: swiftia-receiver up")
