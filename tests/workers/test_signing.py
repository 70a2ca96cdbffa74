import base64
import json
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidInput, Unauthorized
from workers.signing import parse_secret, sign, verify

NOW = 1_767_225_600
SECRETS = st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3, unique=True)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True)
OLD, NEW, OTHER = b"o" * 24, b"n" * 32, b"x" * 32


def written(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


@given(body=st.binary(), event_id=IDS, at=st.integers(0, 10**12 - 1), secrets=SECRETS, drift=st.floats(-300, 300))
@settings(max_examples=150)
def test_what_we_sign_we_verify(body, event_id, at, secrets, drift):
    headers = sign(body, event_id=event_id, at=at, secrets=secrets)
    for secret in secrets:
        assert verify(body, headers, secrets=[OTHER, secret], now=at + int(drift)) == event_id


@given(body=st.binary(max_size=50), change=st.integers(1, 255), where=st.sampled_from(["body", "id", "time", "secret"]))
@settings(max_examples=150)
def test_one_change_anywhere_is_noticed(body, change, where):
    headers = sign(body, event_id="evt", at=NOW, secrets=[NEW])
    secret = NEW
    match where:
        case "body":
            body += bytes([change])
        case "id":
            headers["webhook-id"] = f"evt{change}"
        case "time":
            headers["webhook-timestamp"] = str(NOW + change)
        case "secret":
            secret = bytes([NEW[0] ^ change]) + NEW[1:]
    with pytest.raises(Unauthorized, match="no signature"):
        verify(body, headers, secrets=[secret], now=NOW)


@given(
    body=st.binary(),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "webhook-ID"]) | st.text(),
        st.text() | st.sampled_from(["v1,abc", "v1", ",", " ", "v1,é", "v2,", str(NOW), "\ud800", "١٢٣", "9" * 500]),
    ),
    secrets=st.lists(st.binary(), max_size=2),
)
@settings(max_examples=400)
def test_any_headers_are_verified_or_refused_as_ours(body, headers, secrets):
    with pytest.raises(Unauthorized):
        verify(body, headers, secrets=secrets, now=NOW)


@pytest.mark.parametrize(
    "signature", ["v1,abc", "garbage", "v1,", ",,,", "v1," + "A" * 44, "v1,é", "\ud800", " " * 3000]
)
def test_signatures_of_any_shape_are_refused(signature):
    headers = sign(b"{}", event_id="evt", at=NOW, secrets=[NEW]) | {"webhook-signature": signature}
    with pytest.raises(Unauthorized):
        verify(b"{}", headers, secrets=[NEW], now=NOW)


def test_a_secret_is_rotated_on_either_side():
    both = sign(b"{}", event_id="evt", at=NOW, secrets=[NEW, OLD])
    assert both["webhook-signature"].count("v1,") == 2
    assert verify(b"{}", both, secrets=[OLD], now=NOW) == "evt"
    old = sign(b"{}", event_id="evt", at=NOW, secrets=[OLD])
    assert verify(b"{}", old, secrets=[NEW, OLD], now=NOW) == "evt"
    with pytest.raises(Unauthorized):
        verify(b"{}", old, secrets=[NEW], now=NOW)


def test_header_names_have_no_case():
    headers = {name.title(): value for name, value in sign(b"", event_id="evt", at=NOW, secrets=[NEW]).items()}
    assert verify(b"", headers, secrets=[NEW], now=NOW) == "evt"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name):
    headers = sign(b"", event_id="evt", at=NOW, secrets=[NEW])
    with pytest.raises(Unauthorized, match=f"{name} is missing"):
        verify(b"", headers | {name: ""}, secrets=[NEW], now=NOW)
    del headers[name]
    with pytest.raises(Unauthorized, match=f"{name} is missing"):
        verify(b"", headers, secrets=[NEW], now=NOW)


@pytest.mark.parametrize("drift", [-301, 301, 10**6, float("nan"), float("inf")])
def test_an_old_or_early_timestamp_is_refused(drift):
    headers = sign(b"", event_id="evt", at=NOW, secrets=[NEW])
    with pytest.raises(Unauthorized, match="check both clocks"):
        verify(b"", headers, secrets=[NEW], now=NOW + drift)


def test_a_signature_cannot_be_moved_between_id_and_body():
    headers = sign(f"{NOW}.body".encode(), event_id="evt", at=NOW, secrets=[NEW])
    moved = headers | {"webhook-id": f"evt.{NOW}"}
    with pytest.raises(Unauthorized, match="webhook-id"):
        verify(b"body", moved, secrets=[NEW], now=NOW)


def test_no_secret_verifies_nothing():
    headers = sign(b"", event_id="evt", at=NOW, secrets=[NEW])
    with pytest.raises(Unauthorized):
        verify(b"", headers, secrets=[], now=NOW)


@pytest.mark.parametrize(
    ("event_id", "at", "secrets"),
    [("", NOW, [NEW]), ("a.b", NOW, [NEW]), ("a\n", NOW, [NEW]), ("é", NOW, [NEW]), ("e", -1, [NEW]), ("e", NOW, [])],
)
def test_what_could_not_be_verified_is_not_signed(event_id, at, secrets):
    with pytest.raises(InvalidInput):
        sign(b"", event_id=event_id, at=at, secrets=secrets)


@given(data=st.dictionaries(st.text(), st.integers()), event_id=IDS, secret=st.binary(min_size=24, max_size=64))
@settings(max_examples=50)
def test_the_reference_library_agrees(data, event_id, secret):
    body, now = json.dumps(data), datetime.now(tz=UTC)
    reference = standardwebhooks.Webhook(written(secret))
    assert (
        reference.verify(body, sign(body.encode(), event_id=event_id, at=int(now.timestamp()), secrets=[secret]))
        == data
    )
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": reference.sign(event_id, now, body),
    }
    assert verify(body.encode(), headers, secrets=[secret], now=now.timestamp()) == event_id


@given(st.binary(min_size=24, max_size=64))
@settings(max_examples=50)
def test_a_written_secret_is_read_back(secret):
    assert parse_secret(written(secret)) == secret


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "secret", written(b"x" * 23), written(b"x" * 65), "whsec_!!!!", "whsec_é", written(b"x" * 32) + "\n",
     written(b"x" * 32)[:-1], "WHSEC_" + "A" * 44, "whsec_\ud800", None, 7, "whsec_" + "A" * 10_000],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_without_being_repeated(text):
    with pytest.raises(InvalidInput, match="openssl rand") as caught:
        parse_secret(text)
    assert "xxx" not in caught.value.message
    assert caught.value.__cause__ is None


@given(st.text())
@settings(max_examples=150)
def test_any_text_is_a_secret_or_refused(text):
    for one in (text, "whsec_" + text):
        try:
            assert 24 <= len(parse_secret(one)) <= 64
        except InvalidInput:
            continue
