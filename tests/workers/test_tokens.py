import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidInput, Unauthorized
from workers.identifiers import is_ref
from workers.tokens import SHARED, new_ref, read_token, shared_account, shared_token, token

REFS = st.binary(min_size=16, max_size=16).map(lambda raw: new_ref(lambda n: raw[:n]))
KEYS = st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True)
REF = new_ref(bytes)


@given(ref=REFS, keys=KEYS)
@settings(max_examples=150)
def test_what_we_give_out_we_read(ref, keys):
    assert read_token(token(ref, keys), keys) == ref
    assert read_token(shared_token(keys), keys) == SHARED
    shared = read_token(shared_token(keys, "acme"), keys)
    assert (shared, shared_account(shared)) == ("shared~acme", "acme")


def test_the_url_of_one_account_is_not_that_of_another_nor_a_ref():
    mac = shared_token(["key"], "acme").partition(".")[2]
    for name in ("shared", "shared~beta", "shared~", "shared~acm"):
        with pytest.raises(Unauthorized):
            read_token(f"{name}.{mac}", ["key"])
    assert not is_ref("shared~" + "a" * 32)
    assert shared_account(REF) is None
    for name in ("Acme", "a" * 33, "a~b", "a.b", "é"):
        with pytest.raises(InvalidInput):
            shared_token(["key"], name)


@given(ref=REFS, keys=KEYS, newest=st.text(min_size=1))
@settings(max_examples=150)
def test_keys_rotate_without_loss(ref, keys, newest):
    old = token(ref, keys)
    assert read_token(old, [newest, *keys]) == ref
    assert token(ref, [newest, *keys]) == token(ref, [newest])


@given(ref=REFS, key=st.text(min_size=1), other=st.text(min_size=1))
@settings(max_examples=150)
def test_another_key_does_not_fit(ref, key, other):
    if key.rstrip("\0") != other.rstrip("\0"):  # HMAC pads short keys with zeros
        with pytest.raises(Unauthorized, match="CALLBACK_KEYS"):
            read_token(token(ref, [key]), [other])


def test_refs_are_unguessable_and_fit_their_rule():
    refs = {new_ref(os.urandom) for _ in range(1000)}
    assert len(refs) == 1000
    assert all(is_ref(ref) and len(ref) == 22 for ref in refs)
    assert SHARED not in refs
    assert not is_ref(SHARED)


def test_the_mac_of_one_ref_fits_no_other():
    mac = token(REF, ["key"]).partition(".")[2]
    for ref in (SHARED, REF[:-1] + "B", REF + "A"):
        with pytest.raises(Unauthorized):
            read_token(f"{ref}.{mac}", ["key"])


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "shared", "shared.", SHARED * 9, REF, f"{REF}.", f".{REF}", "é.é", "\ud800.\ud800", f"{REF}.\ud800",
     f"{REF}.é", f"{REF}\n.x", "٣" * 22 + ".x", "\0", f"{REF}.{'A' * 43}", f"{REF}.{'A' * 10**6}", "A" * 10_000,
     token(REF, ["key"]) + "\n", token(REF, ["key"]) + "=", token(REF, ["key"]) + ".", token(REF, ["key"]).upper()],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_a_malformed_token_is_unauthorized(text):
    with pytest.raises(Unauthorized):
        read_token(text, ["key"])


@given(st.text() | st.text().map(lambda text: f"{REF}.{text}") | st.text().map(lambda text: f"{SHARED}.{text}"), KEYS)
@settings(max_examples=300)
def test_any_text_is_unauthorized(text, keys):
    with pytest.raises(Unauthorized):
        read_token(text, keys)


def test_no_key_fits_nothing_and_signs_nothing():
    with pytest.raises(Unauthorized):
        read_token(token(REF, ["key"]), [])
    with pytest.raises(InvalidInput, match="CALLBACK_KEYS"):
        token(REF, [])


@pytest.mark.parametrize("ref", ["", "short", "a.b" * 9, "x" * 65, "shared2", "é" * 22])
def test_only_refs_are_signed(ref):
    with pytest.raises(InvalidInput):
        token(ref, ["key"])
