"""The head of a request is read as ``http.server`` would read it."""

import io
from http.client import parse_headers

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sandbox.heads import Unreadable, read_fields, read_head

# What makes a difference somewhere: ends of lines, blanks, colons, names and what is none.
PIECES = st.sampled_from(["\r\n", "\n", "\r", " ", "\t", ":", "A", "b", "From ", "é", "\x7f", "\x0b", "\x85", "\x00"])
HEADERS = st.lists(PIECES | st.text(st.characters(max_codepoint=255), max_size=3), max_size=30).map("".join)


@given(text=HEADERS)
def test_headers_are_those_that_the_standard_library_finds(text):
    raw = text.encode("latin-1")
    lines = raw.split(b"\n")
    headers = b"\n".join(line for line in lines if line.strip(b"\r")) or b"A: b"
    expected: dict[str, list[str]] = {}
    for name, value in parse_headers(io.BytesIO(headers + b"\r\n\r\n")).raw_items():
        expected.setdefault(name.lower(), []).append(value)

    assert read_fields(headers.decode("latin-1") + "\r\n") == expected


def head_of(text):
    return read_head(io.BytesIO(text.encode("latin-1")).readline)


def test_a_whole_head():
    head = head_of("POST //a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:\t2 \r\nExpect: 100-Continue\r\n\r\nrest")

    assert (head.method, head.target, head.closes, head.waits) == ("POST", "/a?b", False, True)
    assert head.fields["x-a"] == ["1", "2 "]
    assert (head.header("host"), head.header("x-b")) == ("x", "")


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        ("GET / HTTP/1.1\r\n\r\n", False),
        ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", True),
        ("GET / HTTP/1.0\r\n\r\n", True),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        ("GET /\r\n\r\n", True),
    ],
)
def test_how_long_the_connection_lasts(text, closes):
    assert head_of(text).closes is closes


def test_an_empty_line_asks_nothing():
    assert head_of("\r\n") is None
    assert head_of("") is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.²", 400),
        ("GET / HTTP/1.12345678901", 400),
        ("GET / http/1.1", 400),
        ("GET / and / HTTP/1.1", 400),
        ("POST /", 400),
        ("GET", 400),
    ],
)
def test_what_is_no_request_is_refused(text, status):
    with pytest.raises(Unreadable) as refused:
        head_of(f"{text}\r\n\r\n")
    assert refused.value.status == status


def test_as_many_headers_as_there_may_be():
    assert len(head_of("GET / HTTP/1.1\r\n" + "A: b\r\n" * 99 + "\r\n").fields["a"]) == 99
    with pytest.raises(Unreadable):
        head_of("GET / HTTP/1.1\r\n" + "A: b\r\n" * 100 + "\r\n")
