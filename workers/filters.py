"""Which jobs a listing or a search shows, and whether one of them is among these. Pure."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from workers.errors import InvalidInput
from workers.records import loaded
from workers.states import JobState

LONGEST_SEARCH: Final = 200
LOOKED_AT: Final = ("function", "account", "metadata", "title")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is None is not asked about. ``since_ms`` up to, not including, ``until_ms``: when a job became known here,
    in Unix milliseconds. ``metadata``: members of the job's metadata, and as text what they must be. ``words``: what
    the title holds, all of them, as ``folded`` writes them.
    """

    state: JobState | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    ref: str | None = None
    function: str | None = None
    account: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()

    @property
    def looks_inside(self) -> bool:
        """Whether a job's record decides; by all else jobs are found without it."""
        return self.function is not None or self.account is not None or bool(self.metadata or self.words)

    def fits(self, fields: Mapping[str, str]) -> bool:
        """``fields``: those of ``LOOKED_AT`` that a record has."""
        if self.function is not None and fields.get("function") != self.function:
            return False
        if self.account is not None and fields.get("account", "") != self.account:
            return False
        if self.words and not _has_words(fields.get("title", ""), self.words):
            return False
        return not self.metadata or _holds(loaded(fields.get("metadata")), self.metadata)


EVERYTHING: Final = Wanted()


def search(text: str, wanted: Wanted = EVERYTHING) -> Wanted:
    """Narrow ``wanted`` to what is searched for: ``key=value`` of the metadata, else words of the title.

    An id or a ref is found without looking inside, by whoever has the ledger. Raise ``InvalidInput``.

    >>> search("customer=7").metadata, search("  A strong CLAIM ").words
    ((('customer', '7'),), ('a', 'strong', 'claim'))
    """
    if len(text) > LONGEST_SEARCH or not text.strip():
        raise InvalidInput(
            f"a search is 1 to {LONGEST_SEARCH} characters: an id, a ref, key=value, or words of a title"
        )
    key, sign, value = (part.strip() for part in text.partition("="))
    if sign and key and value:
        return replace(wanted, metadata=(*wanted.metadata, (key, value)))
    return replace(wanted, words=(*wanted.words, *folded(text).split()))


def folded(text: str) -> str:
    """Text as it is compared: without the differences of case, nor those of how an accent is written."""
    return unicodedata.normalize("NFKC", text).casefold()


def _has_words(title: str, words: tuple[str, ...]) -> bool:
    found = folded(title)
    return all(word in found for word in words)


def _holds(metadata: object, wanted: tuple[tuple[str, str], ...]) -> bool:
    return isinstance(metadata, dict) and all(
        name in metadata and _as_text(metadata[name]) == value for name, value in wanted
    )


def _as_text(value: object) -> str | None:
    """How a value is written in a query: text as it is, numbers, true, false and null as JSON has them."""
    if isinstance(value, str):
        return value
    return None if isinstance(value, (dict, list)) else json.dumps(value)
