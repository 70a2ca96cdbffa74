"""What is read of a plain callback is what gunicorn reads of it, and whatever is not plain is not read."""

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from hypothesis import given
from hypothesis import strategies as st

from receiver import knock

TOKEN = "r" * 22 + "." + "m" * 43
PLAIN = (f"POST /webhooks/swiftia/{TOKEN} HTTP/1.1", "Host: hooks.example.org", "Content-Length: 2")


def message(*lines: str, body: bytes = b"{}") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def test_a_plain_callback_is_read():
    found = knock.read(message(*PLAIN, "User-Agent: axios/1.7", "connection: Keep-Alive"), "192.0.2.1")
    assert found is not None
    assert (found.token, found.body, found.remote_addr) == (TOKEN, b"{}", "192.0.2.1")
    assert found.headers.get("user-agent") == found.headers.get("User-Agent") == "axios/1.7"
    assert found.headers.get("X-Forwarded-For") == ""
    assert TOKEN not in repr(found.raw) or "raw" not in repr(found)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        message(*PLAIN)[:-1],
        message(*PLAIN) + b"x",
        message(*PLAIN) + message(*PLAIN),
        message(PLAIN[0].replace("POST", "PUT"), *PLAIN[1:]),
        message(PLAIN[0].replace("1.1", "1.0"), *PLAIN[1:]),
        message(PLAIN[0].replace(" HTTP", "/ HTTP"), *PLAIN[1:]),
        message(PLAIN[0].replace(" HTTP", "?x=1 HTTP"), *PLAIN[1:]),
        message(PLAIN[0].replace("rrr", "%72rr"), *PLAIN[1:]),
        message(PLAIN[0].replace("/webhooks", "http://host/webhooks"), *PLAIN[1:]),
        message(*PLAIN[:2]),
        message(PLAIN[0], PLAIN[2]),
        message(PLAIN[0], "Host: a", "Host: a", PLAIN[2]),
        message(*PLAIN, "Content-Length: 2"),
        message(*PLAIN[:2], "Content-Length: +2"),
        message(*PLAIN[:2], "Content-Length: 2, 2"),
        message(*PLAIN, "Transfer-Encoding: chunked"),
        message(*PLAIN, "Expect: 100-continue"),
        message(*PLAIN, "Connection: close"),
        message(*PLAIN, "Connection: keep-alive, upgrade"),
        message(*PLAIN, "Upgrade: h2c"),
        message(*PLAIN, "Script-Name: /webhooks"),
        message(*PLAIN, "X_Forwarded_For: 192.0.2.9"),
        message(*PLAIN, "X-Name : x"),
        message(*PLAIN, "X-Name: a", " folded"),
        message(*PLAIN, "X-Name: \xe4"),
        message(*PLAIN, "X-Name: a\tb"),
        message(*PLAIN, "X-Name: a\nX-Other: b"),
        message(*PLAIN, "X-Name: " + "y" * 5000),
        message(*PLAIN, *(f"X-{n}: y" for n in range(60))),
    ],
)
def test_what_is_not_plain_is_not_read(raw):
    assert knock.read(raw, "192.0.2.1") is None


NAMES = st.sampled_from(
    ["X-Request-Id", "content-type", "User-Agent", "X-Forwarded-For", "Accept", "Via", "Connection", "Keep-Alive", "Te"]
)
VALUES = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=20)
FIELDS = st.builds("{}{}{}".format, NAMES, st.sampled_from([": ", ":", ":  ", " :", ":\t"]), VALUES)


@given(fields=st.lists(FIELDS, max_size=4), body=st.binary(max_size=20), lie=st.sampled_from([0, 0, 0, 1, -1]))
def test_what_is_read_is_what_gunicorn_reads(fields, body, lie):
    raw = message(*PLAIN[:2], f"Content-Length: {max(0, len(body) + lie)}", *fields, body=body)
    found = knock.read(raw, "192.0.2.1")
    if found is None:
        return
    read = next(get_parser(Config(), iter([raw]), ("192.0.2.1", 1)))
    assert (read.method, read.path, read.query, read.version) == ("POST", f"/webhooks/swiftia/{TOKEN}", "", (1, 1))
    assert {name.lower(): value for name, value in read.headers} == dict(found.headers)
    assert len(read.headers) == len(found.headers)
    assert read.body.read() == found.body
    assert not read.should_close()
