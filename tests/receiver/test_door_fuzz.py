"""Strangers at the door: whatever they send, it is no fault of ours and it changes nothing."""

import os
import string

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from workers.tokens import shared_token, token

# As many as time allows: FUZZ_REQUESTS=10000 for a long run.
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2000"))
# So many requests are made from one example: drawing costs more than asking.
_EACH = 20
KEY = "a-callback-key-of-tests"
REF = "r" * 22
GOOD = [token(REF, [KEY]), shared_token([KEY])]

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\r\n")
TEXTS = st.text(CHARACTERS, max_size=40)
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from([
            "Content-Type", "Content-Encoding", "User-Agent", "Authorization", "Expect", "Range", "Prefer", "Cookie",
            "X-Forwarded-For", "X-HTTP-Method-Override", "webhook-id", "webhook-timestamp", "webhook-signature",
        ]),
        st.text(string.ascii_letters + "-", min_size=1, max_size=20).map(lambda name: f"X-{name}"),
    ),
    HEADER_VALUES,
    max_size=4,
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b'{"id":"job_1","status":"COMPLETED"}',
            b'{"id":{"id":{"id":[]}}}',
            b"[" * 5000,
            b'{"id":' + b"9" * 5000 + b"}",
            b'{"id":"\\ud800"}',
            b"\xef\xbb\xbf{}",
            b"x" * 10_001,
            b"x" * 40_000,
        ]
    ),
)
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])


def damaged(good: str, at: int, sign: str) -> str:
    at %= len(good)
    return good[:at] + sign + good[at + 1 :]


# None of these can be a token of ours: a mac cannot be guessed, and a damaged one is checked to be another one.
TOKENS = st.one_of(
    TEXTS,
    st.builds(damaged, st.sampled_from(GOOD), st.integers(0, 100), st.sampled_from("AZaz09-_.%\u00e4")),
    st.builds(lambda mac: f"{REF}.{mac}", TEXTS),
    st.builds(lambda mac: f"shared.{mac}", TEXTS),
    st.sampled_from([f"{good}x" for good in GOOD] + [good[:-1] for good in GOOD] + ["..", "%2e%2e", "%00", "."]),
).filter(lambda text: text.strip("/") not in GOOD)
STRANGERS = st.lists(st.tuples(METHODS, TOKENS, HEADERS, BODIES), min_size=_EACH, max_size=_EACH)
SENDERS = st.lists(st.tuples(HEADERS, BODIES, st.sampled_from(GOOD)), min_size=_EACH, max_size=_EACH)

FEW_SETUPS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example]


def quoted(text: str) -> str:
    """Leave to the client what it must quote itself, and only keep it from seeing a query."""
    return text.replace("?", "%3F").replace("#", "%23")


@given(requests=STRANGERS)
@settings(max_examples=REQUESTS // _EACH, suppress_health_check=FEW_SETUPS, deadline=None)
def test_a_stranger_changes_nothing_and_breaks_nothing(client: FlaskClient, redis: Redis, requests):
    for method, path, headers, body in requests:
        answer = client.open(f"/webhooks/swiftia/{quoted(path)}", method=method, headers=headers, data=body)
        assert 400 <= answer.status_code < 500, (method, path, headers, body)
        assert answer.content_type == "application/problem+json"
        assert answer.status_code not in (202, 413), "a stranger's body was read"
    assert redis.dbsize() == 0


@given(requests=SENDERS)
@settings(max_examples=REQUESTS // _EACH // 10, suppress_health_check=FEW_SETUPS, deadline=None)
def test_whoever_holds_a_token_gets_an_answer_that_is_documented(client: FlaskClient, requests):
    for headers, body, good in requests:
        answer = client.post(f"/webhooks/swiftia/{good}", headers=headers, data=body)
        assert answer.status_code in (202, 413, 422), (headers, body)


@pytest.mark.parametrize("good", GOOD)
def test_the_tokens_that_are_damaged_above_do_open(client: FlaskClient, good):
    assert client.post(f"/webhooks/swiftia/{good}", data=b'{"id":"job_1"}').status_code == 202
