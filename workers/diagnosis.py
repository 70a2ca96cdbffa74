"""Why a callback's token or signature is refused, said to a person who holds the keys. Pure.

It judges as ``tokens`` and ``signing`` do, and where they refuse it tries what commonly goes wrong. Nothing that it
says holds a key, a secret, or the mac that would have been right.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from workers.errors import Unauthorized
from workers.signing import SECRET_PREFIX, Secret, verify
from workers.tokens import read_token, shared_account

TOLERANCE_S: Final = 300.0
_PLACE: Final = "/webhooks/swiftia/"
_MAC_LENGTH: Final = 43
_STRAY: Final = " \t\r\n\"'<>.,;)/"
_OF_A_TOKEN: Final = re.compile(r"[A-Za-z0-9_~.-]*", re.ASCII)
_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_MILLISECONDS: Final = re.compile(r"[0-9]{13}", re.ASCII)
_SIGNATURE_BYTES: Final = 32
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lines``: what was found, the decisive thing first."""

    accepted: bool
    lines: tuple[str, ...]


def of_token(given: str, keys: Sequence[str]) -> Verdict:
    """``given``: a callback URL, its path, or the token alone. ``keys``: CALLBACK_KEYS, the newest first."""
    token = _token_in(given)
    fitting = _fitting_key(token, keys)
    if fitting is not None:
        return Verdict(accepted=True, lines=(_whose(token), f"it was made with {_ordinal('key', fitting, keys)}"))
    stripped = token.strip(_STRAY)
    if stripped != token and _fitting_key(stripped, keys) is not None:
        stray = token.replace(stripped, "")
        return _refused(f"it fits once {stray!r} is taken away from its end or beginning: it was copied with that")
    return _refused(*_faults_of_token(token, keys))


def _token_in(given: str) -> str:
    text = unquote(given.strip())
    if _PLACE in text:
        text = text.partition(_PLACE)[2].partition("?")[0].partition("#")[0]
        return text.removesuffix("/")
    return text


def _fitting_key(token: str, keys: Sequence[str]) -> int | None:
    for place, key in enumerate(keys):
        try:
            read_token(token, [key])
        except Unauthorized:
            continue
        return place
    return None


def _faults_of_token(token: str, keys: Sequence[str]) -> Iterator[str]:
    if not keys:
        yield "there is no key to hold it against; set CALLBACK_KEYS, or give a file of keys"
        return
    strange = sorted({sign for sign in token if _OF_A_TOKEN.fullmatch(sign) is None})
    if strange:
        yield f"it is malformed: {''.join(strange)[:_SHOWN]!r} is in no token; it may be cut from something else"
        return
    ref, dot, mac = token.partition(".")
    if not dot:
        yield f"it is malformed: a token is <ref>.<mac>, and this has no dot (it has {len(token)} characters)"
        return
    if shared_account(ref) is None and not _looks_like_ref(ref):
        yield f"it is malformed: what stands before the dot is no ref (22 to 64 characters; it has {len(ref)})"
        return
    if len(mac) != _MAC_LENGTH:
        what = "cut off" if len(mac) < _MAC_LENGTH else "something has been added"
        yield f"it is malformed: the mac behind the dot has {len(mac)} characters and not {_MAC_LENGTH}: {what}"
        return
    known = f"none of the {len(keys)} keys" if len(keys) > 1 else "not the one key"
    yield f"its form is right, and it fits {known}: unknown key, or the token was altered"
    yield "a key that was taken out of CALLBACK_KEYS refuses every URL that was made with it: put it back there"
    yield "another machine, or another DATA_DIR, has another callback-key unless CALLBACK_KEYS is set on both"


def _looks_like_ref(ref: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{22,64}", ref, re.ASCII) is not None


def _whose(token: str) -> str:
    ref = token.partition(".")[0]
    account = shared_account(ref)
    if account is None:
        return f"the token is right: it is that of the ref {ref[:6]}…"
    return "the token is right: it is the shared one" + (f" of the account {account}" if account else "")


def of_signature(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[Secret],
    *,
    now: float,
    texts: Sequence[str] = (),
    tolerance_s: float = TOLERANCE_S,
) -> Verdict:
    """``now``: Unix seconds. ``texts``: the secrets as they are written, to find out who signs with these."""
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    missing = [name for name in _HEADERS if not lowered.get(name)]
    if missing:
        return _refused(f"not signed as Standard Webhooks says: {', '.join(missing)} missing")
    if not secrets:
        return _refused("there is no secret to hold it against; set WEBHOOK_SIGNING_SECRETS, or give a file of secrets")
    faults = list(_faults_of_headers(lowered))
    if faults:
        return _refused(*faults)
    at, distance = int(lowered["webhook-timestamp"]), now - int(lowered["webhook-timestamp"])
    fitting = _fitting_secret(body, lowered, secrets, at)
    late = _distance(distance, tolerance_s)
    if fitting is None:
        return _refused(*_why_none_fits(body, lowered, secrets, texts, at), *([late] if late else []))
    signed = f"{_ordinal('secret', fitting, secrets)} signed it"
    if late:
        return _refused(late, f"all else is right: {signed}, and the body is as it was signed")
    return Verdict(
        accepted=True,
        lines=(f"the signature is right: {signed}", f"its time is {abs(distance):.0f} s away from our clock"),
    )


def _faults_of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    event_id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    if re.fullmatch(r"[!-\-/-~]{1,256}", event_id, re.ASCII) is None:
        yield "webhook-id is malformed: it is 1 to 256 printable characters without a dot"
    if _SECONDS.fullmatch(stamp) is None:
        looks = "; this looks like milliseconds" if _MILLISECONDS.fullmatch(stamp) else ""
        yield f"webhook-timestamp is malformed: it is Unix seconds{looks}"
    offered = headers["webhook-signature"].split(" ")
    faults = [fault for fault in map(_fault_of_signature, offered) if fault]
    if len(faults) == len(offered):
        yield f"webhook-signature is malformed: {faults[0]}"


def _fault_of_signature(offered: str) -> str:
    version, comma, code = offered.partition(",")
    if not comma:
        return "a signature is v1,<base64>, and several stand apart by one space"
    if version != "v1":
        return f"its version is {version[:10]!r}; only v1 (HMAC-SHA256) is taken"
    try:
        raw = base64.b64decode(code, validate=True)
    except ValueError:
        return "what follows v1, is no base64"
    return "" if len(raw) == _SIGNATURE_BYTES else f"it holds {len(raw)} bytes and not {_SIGNATURE_BYTES}"


def _fitting_secret(body: bytes, headers: Mapping[str, str], secrets: Sequence[Secret], at: int) -> int | None:
    for place, secret in enumerate(secrets):
        try:
            verify(body, headers, secrets=[secret], now=at)
        except Unauthorized:
            continue
        return place
    return None


def _why_none_fits(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[Secret], texts: Sequence[str], at: int
) -> Iterator[str]:
    for text in texts:
        for secret, how in _as_some_take_it(text):
            if _fitting_secret(body, headers, [secret], at) is not None:
                yield f"the sender signs with {how}; it must decode the base64 behind {SECRET_PREFIX} first"
                return
    for other, how in _as_it_may_have_been(body):
        fitting = _fitting_secret(other, headers, secrets, at)
        if fitting is not None:
            yield f"the body was altered: it fits {how} ({_ordinal('secret', fitting, secrets)} signed it)"
            yield "a proxy or framework that reads a body and writes it anew does that; pass on the bytes as they came"
            return
    known = f"none of the {len(secrets)} secrets" if len(secrets) > 1 else "not the one secret"
    yield f"its form is right, and it fits {known}: another secret signed it, or body, id or time were altered"


def _as_some_take_it(text: str) -> Iterator[tuple[Secret, str]]:
    yield text.encode(), "the text of the secret as it is written"
    yield text.removeprefix(SECRET_PREFIX).encode(), f"the text of the secret behind {SECRET_PREFIX}"


def _as_it_may_have_been(body: bytes) -> Iterator[tuple[bytes, str]]:
    yield body.rstrip(b"\r\n"), "without the line end behind it"
    yield body + b"\n", "with a line end behind it"
    yield body.replace(b"\r\n", b"\n"), "with plain line ends"
    yield body.removeprefix(b"\xef\xbb\xbf"), "without the byte order mark before it"
    yield b"", "an empty one"
    try:
        value = json.loads(body)
    except ValueError:
        return
    for ascii_only in (False, True):
        for sort in (False, True):
            for separators in ((",", ":"), (", ", ": ")):
                text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=sort, separators=separators)
                yield text.encode("utf-8", "surrogatepass"), "the same JSON written in another way"


def _distance(seconds: float, tolerance_s: float) -> str:
    if abs(seconds) <= tolerance_s:
        return ""
    where = "behind" if seconds > 0 else "ahead of"
    reason = "it is an old request, or" if seconds > 0 else "most likely"
    return (
        f"webhook-timestamp is {abs(seconds):.0f} s {where} our clock, and {tolerance_s:g} s are taken: "
        f"{reason} one of the clocks is wrong"
    )


def _ordinal(what: str, place: int, of: Sequence[object]) -> str:
    if len(of) == 1:
        return f"the one {what}"
    return f"{what} {place + 1} of {len(of)}" + (", the newest" if place == 0 else "")


def _refused(*lines: str) -> Verdict:
    return Verdict(accepted=False, lines=lines)
