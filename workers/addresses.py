"""What counts as a web address, and which IP addresses may be connected to for one that somebody else wrote."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

# Written out although Python's ``is_global`` knows most of it: its answer differs between Python versions, and it calls
# multicast, NAT64 and 6to4 global. The first network that fits names the reason.
_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("169.254.169.254/32", "a cloud metadata service"),
        ("fd00:ec2::/32", "a cloud metadata service"),
        ("100.100.100.200/32", "a cloud metadata service"),
        ("168.63.129.16/32", "a cloud metadata service"),
        ("192.0.0.192/32", "a cloud metadata service"),
        ("0.0.0.0/32", "an unspecified address"),
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address behind a carrier's NAT"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an address reserved for protocols"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "an address reserved for protocols"),
        ("192.52.193.0/24", "an address reserved for protocols"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "an address reserved for protocols"),
        ("198.18.0.0/15", "a benchmark address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4 address mapped into IPv6"),
        ("::ffff:0:0:0/96", "an IPv4 address translated into IPv6"),
        ("::/96", "an IPv4-compatible IPv6 address"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("100::/64", "a discard address"),
        ("100:0:0:1::/64", "a discard address"),
        ("2001::/32", "an IPv4 address inside Teredo"),
        ("2001:db8::/32", "a documentation address"),
        ("2001::/23", "an address reserved for protocols"),
        ("2002::/16", "an IPv4 address inside 6to4"),
        ("2620:4f:8000::/48", "an address reserved for protocols"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a segment routing address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
# All unicast addresses that were ever given out lie here; the rest of IPv6 is the registry's.
_IPV6_UNICAST = IPv6Network("2000::/3")


def web_url(text: str) -> str:
    """Return an http(s) address without the slash at its end. Raise ``ValueError`` for anything else."""
    url = text.strip().rstrip("/")
    parts = urlsplit(url)
    strange = re.search(r"[\s\x00-\x20\x7f]", url) or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or strange:
        raise ValueError("is no http(s) address; write one such as https://hooks.example.org")
    return url


def check_url(text: str) -> str:
    """Return an http(s) address with path and query as they are. Raise ``ValueError`` for anything else."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or re.search(r"[\s\x00-\x20\x7f-\U0010ffff]", url):
        raise ValueError("is no http(s) address; write one such as https://app.example.org/swiftia")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("has a user, a password or a fragment in it; leave them out")
    return url


def refusal_reason(address: str, *, trusted: Sequence[Network]) -> str | None:
    """Say why ``address`` must not be connected to, or None if it may.

    ``trusted`` networks are allowed besides public addresses, also when reached as an IPv4-mapped address. An address
    with a scope (``%eth0``) is refused always: it means something else on every machine.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "not an IP address"
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return "an address with a scope"
    if any(_inside(ip, network) for network in trusted):
        return None
    return next((reason for network, reason in _REFUSED if ip in network), _not_public(ip))


def _inside(ip: IPv4Address | IPv6Address, network: Network) -> bool:
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return ip in network or (mapped is not None and mapped in network)


def _not_public(ip: IPv4Address | IPv6Address) -> str | None:
    if not ip.is_global:
        return "not a public address"
    if isinstance(ip, IPv6Address) and ip not in _IPV6_UNICAST:
        return "a reserved address"
    return None
