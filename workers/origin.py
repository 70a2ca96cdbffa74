"""Whose work is being done: the ids that every line of the log about it bears, and that go with what it leads to.

A request to the web side has an id. The ledger keeps it with whatever that request set going, so each step that
follows, in whatever process, says it again: one search for it finds the whole story.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Final

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
_IDS: Final[ContextVar[Mapping[str, str]]] = ContextVar("origin", default=MappingProxyType({}))


def is_request_id(text: str) -> bool:
    """Tell whether a caller's own id is taken.

    >>> is_request_id("3f2a91c0d4e5b6a7"), is_request_id("short"), is_request_id("no spaces in it")
    (True, False, False)
    """
    return _WELL_FORMED.fullmatch(text) is not None


def ids() -> Mapping[str, str]:
    """Of the work that this thread does at the moment."""
    return _IDS.get()


def begin(request_id: str) -> Token[Mapping[str, str]]:
    """Begin to work for a request, and nothing else; ``end`` takes it back."""
    return _IDS.set({"request_id": request_id})


def end(token: Token[Mapping[str, str]]) -> None:
    _IDS.reset(token)


@contextmanager
def working_on(found: Mapping[str, str]) -> Iterator[None]:
    """Add ids while the block runs; empty ones are left out."""
    token = _IDS.set({**_IDS.get(), **{name: text for name, text in found.items() if text}})
    try:
        yield
    finally:
        _IDS.reset(token)
