"""What a person is told of a token or a signature is what the door does, and never holds a secret."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.diagnosis import TOLERANCE_S, of_signature, of_token
from workers.errors import Unauthorized
from workers.signing import parse_secret, sign, verify
from workers.tokens import read_token, shared_token, token

KEYS = ["the-newest-of-two-keys", "the-older-of-two-keys"]
REF = "r" * 22
URL = "https://hooks.example.org/webhooks/swiftia/"
NOW = 1_800_000_000
TEXTS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
SECRETS = [parse_secret(text) for text in TEXTS]
BODY = b'{"a": 1, "b": "\xc3\xa9"}'


@pytest.mark.parametrize("around", ["{}", URL + "{}", URL + "{}/", URL + "{}?x=1", " " + URL + "{} "])
def test_a_token_that_is_right(around):
    verdict = of_token(around.format(token(REF, KEYS)), KEYS)
    assert verdict.accepted
    assert "the ref rrrrrr…" in verdict.lines[0]
    assert verdict.lines[1] == "it was made with key 1 of 2, the newest"


def test_which_key_it_was_made_with():
    assert of_token(token(REF, KEYS[1:]), KEYS).lines[1] == "it was made with key 2 of 2"
    assert of_token(token(REF, KEYS[1:]), KEYS[1:]).lines[1] == "it was made with the one key"


def test_a_shared_token_names_its_account():
    assert of_token(shared_token(KEYS, "acme"), KEYS).lines[0].endswith("the shared one of the account acme")
    assert of_token(URL + shared_token(KEYS).replace("~", "%7E"), KEYS).accepted


GOOD = token(REF, KEYS)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (GOOD + ".", "it fits once '.' is taken away"),
        (f'"{GOOD}"', "it fits once"),
        (GOOD.replace(".", ""), "this has no dot"),
        (GOOD[:-5], "has 38 characters and not 43: cut off"),
        (GOOD + "AAAA", "something has been added"),
        (f"short.{GOOD.partition('.')[2]}", "is no ref (22 to 64 characters; it has 5)"),
        (f"{REF}.{'é' * 43}", "'é' is in no token"),
        (token(REF, ["a-key-of-somebody-else"]), "it fits none of the 2 keys: unknown key"),
        (GOOD.replace("r" * 22, "s" * 22), "or the token was altered"),
        ("", "this has no dot"),
    ],
)
def test_why_a_token_is_refused(wrong, words):
    verdict = of_token(wrong, KEYS)
    assert not verdict.accepted
    assert words in verdict.lines[0]


def test_without_a_key_there_is_nothing_to_hold_it_against():
    assert "no key to hold it against" in of_token(GOOD, []).lines[0]


@given(st.text(max_size=120))
def test_any_text_gets_the_verdict_of_the_door(text):
    verdict = of_token(text, KEYS)
    try:
        read_token(text, KEYS)
    except Unauthorized:
        assert not verdict.accepted or text != text.strip() or "/" in text or "%" in text
    else:
        assert verdict.accepted


def signed(body: bytes = BODY, at: int = NOW, secret: int = 0) -> dict[str, str]:
    return sign(body, event_id="evt_1", at=at, secrets=[SECRETS[secret]])


def judged(body: bytes = BODY, headers: dict[str, str] | None = None, **how: object):
    return of_signature(body, signed() if headers is None else headers, SECRETS, now=NOW, texts=TEXTS, **how)


def test_a_signature_that_is_right():
    verdict = judged(headers={name.title(): value for name, value in signed(secret=1, at=NOW - 7).items()})
    assert verdict.accepted
    assert verdict.lines == ("the signature is right: secret 2 of 2 signed it", "its time is 7 s away from our clock")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"webhook-id": ""}, "webhook-id missing"),
        ({"webhook-signature": "", "webhook-timestamp": ""}, "webhook-timestamp, webhook-signature missing"),
        ({"webhook-id": "a.b"}, "webhook-id is malformed"),
        ({"webhook-timestamp": f"{NOW}000"}, "this looks like milliseconds"),
        ({"webhook-timestamp": "yesterday"}, "webhook-timestamp is malformed"),
        ({"webhook-signature": "nonsense"}, "a signature is v1,<base64>"),
        ({"webhook-signature": "v2,AAAA"}, "its version is 'v2'"),
        ({"webhook-signature": "v1,~~~~"}, "is no base64"),
        ({"webhook-signature": "v1,AAAA"}, "it holds 3 bytes and not 32"),
        ({"webhook-id": "evt_2"}, "none of the 2 secrets: another secret signed it, or body, id or time were altered"),
    ],
)
def test_why_a_signature_is_refused(change, words):
    verdict = judged(headers={**signed(), **change})
    assert not verdict.accepted
    assert words in " ".join(verdict.lines)


@pytest.mark.parametrize(("at", "words"), [(NOW - 301, "301 s behind our clock"), (NOW + 4000, "4000 s ahead of")])
def test_a_time_that_is_off_is_told_with_who_signed(at, words):
    verdict = judged(headers=signed(at=at, secret=1))
    assert not verdict.accepted
    assert words in verdict.lines[0]
    assert verdict.lines[1] == "all else is right: secret 2 of 2 signed it, and the body is as it was signed"


@pytest.mark.parametrize(
    ("received", "words"),
    [
        (BODY + b"\n", "it fits without the line end behind it"),
        (json.dumps(json.loads(BODY), separators=(",", ":")).encode(), "it fits the same JSON written in another way"),
        (json.dumps(json.loads(BODY)).encode(), "it fits the same JSON written in another way"),
        (b"\xef\xbb\xbf" + BODY, "it fits without the byte order mark"),
    ],
)
def test_a_body_that_was_altered_on_its_way(received, words):
    verdict = judged(received)
    assert not verdict.accepted
    assert words in verdict.lines[0]


def test_a_sender_who_forgets_to_decode_the_secret():
    for text in (TEXTS[0], TEXTS[0].removeprefix("whsec_")):
        headers = sign(BODY, event_id="evt_1", at=NOW, secrets=[text.encode()])
        assert "it must decode the base64 behind whsec_ first" in judged(headers=headers).lines[0]


def test_without_a_secret_there_is_nothing_to_hold_it_against():
    assert "no secret to hold it against" in of_signature(BODY, signed(), [], now=NOW).lines[0]


HEADERS = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Webhook-Id"]),
    st.text(max_size=60) | st.sampled_from([*signed().values(), str(NOW - 400)]),
)


@given(HEADERS, st.sampled_from([BODY, b"", b"other"]))
def test_any_headers_get_the_verdict_of_the_door_and_no_secret_is_told(headers, body):
    verdict = judged(body, headers)
    try:
        verify(body, {name: value.strip() for name, value in headers.items()}, secrets=SECRETS, now=NOW)
    except Unauthorized:
        assert not verdict.accepted
    else:
        assert verdict.accepted
    said = " ".join(verdict.lines)
    right = signed(body)["webhook-signature"]
    assert right not in said
    assert not [text for text in TEXTS if text in said or text[6:20] in said]
    assert TOLERANCE_S == 300
