import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.addresses import refusal_reason

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

REFUSED = {
    "a loopback address": ["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.255", "::1"],
    "an unspecified address": ["0.0.0.0", "::"],  # noqa: S104 - an address to refuse
    "an address of this network": ["0.0.0.1", "0.1.2.3", "0.255.255.255"],
    "a private address": [
        "10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.0", "172.16.0.1", "172.20.10.1", "172.31.255.255",
        "192.168.0.1", "192.168.255.255", "fc00::", "fc00::1", "fd00::1", "fd12:3456:789a::1",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
    "a link-local address": ["169.254.0.0", "169.254.1.1", "169.254.255.255", "fe80::", "fe80::1", "febf:ffff::1"],
    "a cloud metadata service": [
        "169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    ],
    "an address behind a carrier's NAT": ["100.64.0.0", "100.64.0.1", "100.100.100.100", "100.127.255.255"],
    "an address reserved for protocols": [
        "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.175.48.1", "2001:1::1",
        "2001:2::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::1", "2620:4f:8000::1",
    ],
    "a documentation address": [
        "192.0.2.0", "192.0.2.255", "198.51.100.1", "203.0.113.1", "203.0.113.255", "2001:db8::", "2001:db8::1",
        "2001:db8:ffff::1", "3fff::1", "3fff:fff:ffff::1",
    ],
    "a benchmark address": ["198.18.0.0", "198.18.0.1", "198.19.255.255"],
    "a 6to4 relay": ["192.88.99.1", "192.88.99.2"],
    "a multicast address": [
        "224.0.0.1", "224.0.1.1", "232.1.2.3", "233.252.0.1", "239.255.255.255", "ff02::1", "ff05::1:3", "ff0e::1",
    ],
    "the broadcast address": ["255.255.255.255"],
    "a reserved address": ["240.0.0.1", "250.1.2.3", "255.255.255.254", "4000::1", "8000::1", "e000::1", "200::1"],
    "an IPv4 address mapped into IPv6": [
        "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
        "::ffff:0.0.0.0", "0:0:0:0:0:ffff:7f00:0001",
    ],
    "an IPv4 address translated into IPv6": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "an IPv4-compatible IPv6 address": ["::127.0.0.1", "::8.8.8.8", "::10.0.0.1", "::2", "::a9fe:a9fe"],
    "an IPv4 address behind NAT64": [
        "64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1:ffff::7f00:1",
    ],
    "an IPv4 address inside Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "an IPv4 address inside 6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "a discard address": ["100::1", "100:0:0:1::1"],
    "a segment routing address": ["5f00::1"],
    "a site-local address": ["fec0::1", "feff::1"],
    "an address with a scope": ["fe80::1%eth0", "fe80::1%1", "2606:4700::1111%eth0", "::1%lo", "ff02::1%2"],
    "not an IP address": [
        "", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "1.2.3.4/32", "[::1]", " 8.8.8.8",
        "8.8.8.8\n", "8.8.8.8\x00", "256.1.1.1", "1.2.3", ":::1", "12345::", "fe80::1%", "\ud800", "\uff11.1.1.1",
        "9" * 500,
    ],
}  # fmt: skip
ALLOWED = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "93.184.216.34",
    "2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00:1450:4001::1", "2003::1", "3ffe::1",
]  # fmt: skip


@pytest.mark.parametrize(("reason", "address"), [(why, one) for why, many in REFUSED.items() for one in many])
def test_is_refused_with_its_reason(reason, address):
    assert refusal_reason(address, trusted=()) == reason


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address):
    assert refusal_reason(address, trusted=()) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_trusted_network_is_allowed(address):
    assert refusal_reason(address, trusted=LOOPBACK) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "::2",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::1%lo",
        "::ffff:8.8.8.8",
    ],
)
def test_trust_reaches_no_further_than_its_network(address):
    assert refusal_reason(address, trusted=LOOPBACK) is not None


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_nothing_is_allowed_that_python_does_not_call_global(number):
    ip = IPv4Address(number)
    if refusal_reason(str(ip), trusted=()) is None:
        assert ip.is_global
        assert not ip.is_multicast


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1) | st.integers(0, 2**100))
@settings(max_examples=300)
def test_an_allowed_ipv6_address_holds_no_ipv4_address(number):
    ip = IPv6Address(number)
    if refusal_reason(str(ip), trusted=()) is None:
        assert ip.is_global
        assert (ip.ipv4_mapped, ip.sixtofour, ip.teredo) == (None, None, None)


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
@settings(max_examples=200)
def test_everything_in_a_trusted_network_is_allowed_plain_and_mapped(number, bits):
    network = ipaddress.ip_network((number, bits), strict=False)
    inside = IPv4Address(number)
    assert refusal_reason(str(inside), trusted=[network]) is None
    assert refusal_reason(f"::ffff:{inside}", trusted=[network]) is None


@given(st.text())
@settings(max_examples=300)
def test_any_text_gets_an_answer(text):
    reason = refusal_reason(text, trusted=LOOPBACK)
    assert reason is None or reason
