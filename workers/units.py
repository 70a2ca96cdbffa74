"""How values are written in the environment: durations, sizes, lists, networks, switches. What is wrong says so."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from workers.addresses import check_url, web_url
from workers.errors import InvalidInput
from workers.limits import RateLimit, parse_rate_limit
from workers.outbox import EVENTS

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def seconds_of(text: object) -> float:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h|d|)", str(text).strip(), re.ASCII)
    if match is None:
        raise ValueError("is no duration; write a number with ms, s, m, h or d, such as 10m")
    return float(match[1]) * _UNITS[match[2]]


def size_of(text: object) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*([kmgt]?)(?:i?b)?", str(text).strip().lower(), re.ASCII)
    if match is None:
        raise ValueError("is no size; write a number of bytes or one with K, M or G, such as 64M")
    return int(match[1]) * _SIZES[match[2]]


def _words(text: object) -> tuple[str, ...]:
    if not isinstance(text, str):
        return tuple(text) if isinstance(text, (list, tuple)) else ()
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _secrets(text: object) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(word) for word in _words(text))


def _networks(text: object) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word) for word in _words(text))
    except ValueError as error:
        raise ValueError(f"holds no valid network ({error}); write CIDRs such as 10.1.0.0/16") from None


def _switch(text: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if str(text).strip().lower() not in known:
        raise ValueError("is neither true nor false")
    return known[str(text).strip().lower()]


def _rate(text: object) -> RateLimit:
    try:
        return text if isinstance(text, RateLimit) else parse_rate_limit(str(text))
    except InvalidInput as error:
        raise ValueError(error.message) from None


def _events(text: object) -> tuple[str, ...]:
    words = _words(text)
    strange = sorted(set(words) - set(EVENTS))
    if strange:
        raise ValueError(f"has {strange[0][:40]!a}, which is no event; the events are {', '.join(EVENTS)}")
    return words


def _web_url(text: object) -> str:
    return web_url(str(text))


def _header(text: object) -> str:
    name = str(text).strip()
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", name, re.ASCII) is None:
        raise ValueError("is no name of a header; write one such as X-Forwarded-User")
    return name


Seconds = Annotated[float, BeforeValidator(seconds_of), Field(ge=0)]
Size = Annotated[int, BeforeValidator(size_of), Field(ge=1)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Rate = Annotated[RateLimit, BeforeValidator(_rate)]
Events = Annotated[tuple[str, ...], BeforeValidator(_events)]
DeliveryUrl = Annotated[str, BeforeValidator(lambda text: check_url(str(text)))]
WebUrl = Annotated[str, BeforeValidator(_web_url)]
Header = Annotated[str, BeforeValidator(_header)]
