"""The token in a callback URL: ``<ref>.<mac>``. Whoever holds one was given it by us."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence

from workers.errors import InvalidInput, Unauthorized
from workers.identifiers import is_account, is_ref

# Shorter than any ref, so no ref of new_ref can meet it. That of an account is ``shared~<account>``: no ref has a ~.
SHARED = "shared"

# What is signed says what it is for: a mac made with the same key elsewhere is no token.
_DOMAIN = b"swiftia-receiver callback token v1\n"
_REF_BYTES = 16


def new_ref(random: Callable[[int], bytes]) -> str:
    """Make a ref of 22 characters and 128 bits; ``random`` gives n unguessable bytes."""
    return _text(random(_REF_BYTES))


def token(ref: str, keys: Sequence[str]) -> str:
    """Sign with the first key, the newest."""
    if not (is_ref(ref) or _is_shared(ref)):
        raise InvalidInput("a ref is 22 to 64 letters, digits, '-' and '_'", got=repr(ref)[:80])
    if not keys:
        raise InvalidInput("there is no key to sign callback URLs with; set CALLBACK_KEYS")
    return f"{ref}.{_mac(ref, keys[0])}"


def shared_token(keys: Sequence[str], account: str = "") -> str:
    """Give the one fixed token (of an account) for jobs that are submitted elsewhere. Nothing is stored for it."""
    return token(f"{SHARED}~{account}" if account else SHARED, keys)


def shared_account(ref: str) -> str | None:
    """Give the account of a shared token's name, empty for none; None for the ref of one job.

    >>> [shared_account(ref) for ref in ("shared", "shared~acme", "r" * 22)]
    ['', 'acme', None]
    """
    return ref.removeprefix(SHARED).removeprefix("~") if _is_shared(ref) else None


def _is_shared(ref: str) -> bool:
    word, tilde, account = ref.partition("~")
    return word == SHARED and (is_account(account) if tilde else True)


def read_token(token: str, keys: Sequence[str]) -> str:
    """Give the ref, or the name of a shared one (see ``shared_account``), that ``token`` was made for with any of
    ``keys``; else raise Unauthorized.
    """
    ref, _, mac = token.partition(".")
    if not (is_ref(ref) or _is_shared(ref)):
        raise Unauthorized("this is not a callback URL of ours; use the URL that was given out with the job")
    offered = mac.encode("utf-8", "surrogatepass")
    fits = [hmac.compare_digest(_mac(ref, key).encode("ascii"), offered) for key in keys]
    if not any(fits):
        raise Unauthorized("the callback token fits no key in CALLBACK_KEYS; put the key it was made with back there")
    return ref


def _mac(ref: str, key: str) -> str:
    return _text(hmac.digest(key.encode("utf-8", "surrogatepass"), _DOMAIN + ref.encode("ascii"), hashlib.sha256))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
