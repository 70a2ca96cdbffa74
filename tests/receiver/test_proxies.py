"""Whose word counts about who is asking."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from receiver.proxies import Proxies

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def asked(peer: str | None, **headers: str) -> Request:
    environ = EnvironBuilder(headers={name.replace("_", "-"): value for name, value in headers.items()}).get_environ()
    environ.pop("REMOTE_ADDR", None)
    return Request(environ | ({} if peer is None else {"REMOTE_ADDR": peer}))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "6.6.6.6", "192.0.2.1"),  # a stranger says what he likes
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6,192.0.2.1 , 10.3.4.5", "192.0.2.1"),
        ("10.0.0.1", "10.1.1.1, 10.3.4.5", "10.1.1.1"),
        ("10.0.0.1", "192.0.2.1, nonsense, 10.3.4.5", "10.3.4.5"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("fd00::1", "::ffff:192.0.2.1", "192.0.2.1"),
        (None, "192.0.2.1", None),
        ("", "192.0.2.1", ""),
    ],
)
def test_the_nearest_address_that_is_none_of_the_proxies_counts(peer, forwarded, client):
    headers = {} if forwarded is None else {"X_Forwarded_For": forwarded}
    assert Proxies(TRUSTED).client(asked(peer, **headers)) == client


@pytest.mark.parametrize(
    ("peer", "told", "https"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", " HTTPS ", True),
        ("10.0.0.1", "http,https", True),
        ("10.0.0.1", "https,http", False),
        ("10.0.0.1", "", False),
        ("192.0.2.1", "https", False),
    ],
)
def test_https_is_believed_of_a_proxy_alone(peer, told, https):
    assert Proxies(TRUSTED).is_https(asked(peer, X_Forwarded_Proto=told)) is https


def test_without_proxies_nobody_is_believed():
    request = asked("127.0.0.1", X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https")
    assert Proxies().client(request) == "127.0.0.1"
    assert not Proxies().is_https(request)


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_whatever_is_forwarded_an_address_comes_out(text):
    found = Proxies(TRUSTED).client(asked("10.0.0.1", X_Forwarded_For=text))
    assert found
    ip_address(found)
