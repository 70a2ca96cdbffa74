"""Takes secrets out of what is about to be written down: by the name of a field, and by what a text looks like.

The last net, not the first: nothing here makes it right to log a secret.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final

MASK: Final = "***"
_DEEPEST = 6
_MOST_ITEMS = 200

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_SECRET_WORDS: Final = frozenset({
    "apikey", "authorization", "cookie", "credential", "credentials", "passphrase", "passwd", "password", "phone",
    "phonenumber", "secret", "secrets", "token", "tokens",
})  # fmt: skip
_SECRET_PAIRS: Final = frozenset({("api", "key"), ("callback", "key"), ("callback", "keys"), ("signing", "key")})

# One of these is in whatever any of the patterns below finds, and never letters and digits alone.
_SUSPECT: Final = re.compile(r"[/:+?&]|bearer|whsec_", re.IGNORECASE)
_IN_TEXT: Final = (
    # A whole ref is half of a callback URL.
    (re.compile(r"(\bref:[A-Za-z0-9_-]{6})[A-Za-z0-9_-]{16,58}"), rf"\1{MASK}"),
    (re.compile(r"(/webhooks/swiftia/)[^\s\"'<>?#]+"), rf"\1{MASK}"),
    (re.compile(r"\b(bearer)\s+[^\s\"',]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{MASK}"),
    # From the last @ before a slash: a password may hold an @ that nobody quoted.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/\"']*@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(r"([?&][a-z_-]*(?:token|password|secret|key|signature)=)[^\s&\"'#]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,14}(?!\d)"), MASK),
)  # fmt: skip


@lru_cache(maxsize=1024)  # each line of the log asks about the same few
def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret, however its words are joined.

    >>> [is_secret_name(name) for name in ("api_key", "X-API-Key", "adminToken", "phoneNumber", "key", "tries")]
    [True, True, True, True, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name[:200])]
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairwise(words))


def redacted_text(text: str) -> str:
    """Mask callback tokens, credentials in headers and addresses, signing secrets and phone numbers.

    >>> redacted_text("POST https://hooks.example.org/webhooks/swiftia/abc.def from redis://u:p@r/0")
    'POST https://hooks.example.org/webhooks/swiftia/*** from redis://***@r/0'
    """
    if text.isalnum() or _SUSPECT.search(text) is None:  # as nearly all that is logged
        return text
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def redacted(value: object, *, depth: int = 0) -> object:
    """Return a copy of plain values without secrets. What is no plain value becomes its redacted repr."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redacted_text(value)
        case Mapping() | list() | tuple() | set() | frozenset() if depth >= _DEEPEST:
            return "..."
        case Mapping():
            return redacted_fields(value, depth=depth + 1)
        case list() | tuple() | set() | frozenset():
            return [redacted(item, depth=depth + 1) for item in list(value)[:_MOST_ITEMS]]
        case _:
            return redacted_text(_repr(value))


def redacted_fields(fields: Mapping[str, object], *, depth: int = 0) -> dict[str, object]:
    return {str(name): _field(str(name), value, depth) for name, value in list(fields.items())[:_MOST_ITEMS]}


def _field(name: str, value: object, depth: int) -> object:
    if is_secret_name(name) and value is not None and not isinstance(value, bool):
        return MASK
    return redacted(value, depth=depth)


def _repr(value: object) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a log line must not fail because of what it tells about
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
