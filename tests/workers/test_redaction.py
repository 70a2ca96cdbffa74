import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from workers import redaction
from workers.redaction import MASK, is_secret_name, redacted, redacted_fields, redacted_text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "name",
    ["api_key", "X-API-Key", "apiKey", "admin_token", "ADMIN_TOKEN", "Authorization", "proxy-authorization", "cookie",
     "Set-Cookie", "DELIVERY_SECRET", "webhook_signing_secrets", "phone", "phoneNumber", "callback_key",
     "CALLBACK_KEYS", "password", "swiftia_api_key"],
)  # fmt: skip
def test_names_of_secrets_are_known_however_they_are_joined(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "keys", "event", "job_id", "microphone", "tokenizer", "secretary", "", "Ä"])
def test_other_names_are_left_alone(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("POST /webhooks/swiftia/c2VjcmV0.bWFj HTTP/1.1", "c2VjcmV0"),
        ("https://hooks.example.org/webhooks/swiftia/shared.bWFj/", "bWFj"),
        ("sent Authorization: Bearer sk_live_12345", "sk_live"),
        ('{"authorization": "bearer abcdef"}', "abcdef"),
        ("secret whsec_c2VjcmV0c2VjcmV0 is short", "c2VjcmV0"),
        ("cannot connect to redis://app:pa@ss:w0rd@cache:6379/0", "w0rd"),
        ("GET https://files.example.org/a.mp4?x=1&X-Amz-Signature=deadbeef", "deadbeef"),
        ("GET /a?admin_token=abc123&b=2", "abc123"),
        ("verify your number +49 170 123-4567 first", "4567"),
        ("step of ref:AbCdEf0123456789abcdef begun", "0123456789abcdef"),
        ("ref:AbCdEf0123456789-_cdefGhIjKl!12", "GhIjKl"),
    ],
)
def test_secrets_in_texts_are_masked(text, secret):
    masked = redacted_text(text)
    assert secret not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "job_V66FL3S9dBG2 finished",
        "2026-11-22T01:50:26.576063+00:00",
        "http://127.0.0.1:8000/healthz",
        "a + b = 12345678",
    ],
)
def test_harmless_texts_stay_as_they_are(text):
    assert redacted_text(text) == text


def test_secrets_are_found_in_nested_values_and_in_objects():
    told = redacted_fields({
        "headers": {"Authorization": "Bearer x", "Accept": "text/plain"},
        "urls": ["https://h/webhooks/swiftia/abc"],
        "key": SecretStr("hidden"),
        "error": ValueError("Bearer abc"),
        "admin_token": None,
    })  # fmt: skip
    assert told == {
        "headers": {"Authorization": MASK, "Accept": "text/plain"},
        "urls": [f"https://h/webhooks/swiftia/{MASK}"],
        "key": "SecretStr('**********')",
        "error": f"ValueError: Bearer {MASK}",
        "admin_token": None,
    }


def test_what_cannot_be_shown_is_no_error():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert redacted(Broken()) == "<Broken, whose repr raised RuntimeError>"


def test_endless_nesting_ends():
    endless: list[object] = []
    endless.append(endless)
    assert json.dumps(redacted(endless)) == '[[[[[["..."]]]]]]'


@given(st.text(alphabet="/webhooks swift?&key=token+1234567:@bEarRwc_refx", max_size=60))
def test_what_is_not_looked_at_has_nothing_to_be_masked(text):
    thorough = text
    for pattern, replacement in redaction._IN_TEXT:  # noqa: SLF001 - what the shortcut must agree with
        thorough = pattern.sub(replacement, thorough)
    assert redacted_text(text) == thorough


@given(PLAIN)
@settings(max_examples=200)
def test_whatever_is_logged_can_be_written_as_json(value):
    json.dumps(redacted(value))


@given(PLAIN)
@settings(max_examples=50)
def test_a_secret_never_passes_under_its_name(value):
    told = redacted_fields({"api_key": value})["api_key"]
    assert told in (MASK, None, True, False)
