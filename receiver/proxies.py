"""Who is at the other end of a request, seen through the reverse proxies that are believed.

What a proxy adds to a request anybody else can write into theirs: it counts only where it comes from an address in
``TRUSTED_PROXIES``, and of the addresses that such proxies pass on only the nearest one that is none of theirs.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Protocol

from flask import Request

_Address = IPv4Address | IPv6Address


class Asked(Protocol):
    """What is to be known of a request: a request of Flask's, or one that never came so far."""

    @property
    def remote_addr(self) -> str | None: ...

    @property
    def headers(self) -> Any: ...


class Proxies:
    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def believes(self, request: Asked) -> bool:
        """Whether what was added to the request on its way here was added by a proxy of ours."""
        return bool(self._trusted) and self._is_trusted(_address(request.remote_addr or ""))

    def client(self, request: Asked) -> str | None:
        """Return the address that the request comes from; None for one that has none, such as over a unix socket."""
        found = request.remote_addr
        if not self.believes(request):
            return found
        for text in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            address = _address(text.strip())
            if address is None:
                break  # from here on nobody whom we believe has written anything
            found = str(address)
            if not self._is_trusted(address):
                break
        return found

    def is_https(self, request: Request) -> bool:
        """Whether the one who asks, and not only the last proxy, speaks TLS."""
        if request.scheme == "https":
            return True
        last = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2]
        return self.believes(request) and last.strip().lower() == "https"

    def _is_trusted(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def _address(text: str) -> _Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    # As a socket that listens on IPv6 shows those of IPv4.
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
