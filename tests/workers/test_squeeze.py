"""Whatever is squeezed comes back to the byte, and what was squeezed by an earlier version can always be read."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.phrases import PHRASES
from workers.squeeze import spread, squeeze

DIGESTS = {1: "c17b6e0346cb373a29cb31d18dc39bc08638a800aec715d3c65e45cc0a0aaf91"}
HASHES = st.sampled_from(["a" * 64, "0123456789abcdef" * 2, "f" * 128, "1" * 64, "b" * 63, "0" * 13])
MOMENTS = st.integers(0, 10**14).map(str)
WORDS = st.one_of(st.text(max_size=30), HASHES, MOMENTS, HASHES.map(lambda word: f"msg_{word}"))
VALUES = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)


def written(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@given(VALUES)
def test_what_is_squeezed_comes_back(value):
    text = written(value)
    assert spread(squeeze(text)) == text


def test_more_hashes_than_a_byte_can_name_come_back():
    text = written([f"{n:064x}" for n in range(300)] * 2)
    assert spread(squeeze(text)) == text


@given(st.binary(max_size=200))
def test_what_was_never_squeezed_is_refused(data):
    with pytest.raises(ValueError, match="not squeezed here"):
        spread(b"\x00" + data)


@given(st.data())
def test_what_is_spoilt_is_refused_or_read_as_something_else(data):
    squeezed = bytearray(squeeze(written(["a" * 64, "1800000000000", "word", "a" * 64])))
    squeezed[data.draw(st.integers(0, len(squeezed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        spread(bytes(squeezed[: data.draw(st.integers(0, len(squeezed)))]))
    except ValueError as error:
        assert "not squeezed here" in str(error)  # noqa: PT017 - some of it may be read all the same


def test_hashes_and_moments_take_no_more_than_they_must():
    squeezed = squeeze(written([hashlib.sha256(b"%d" % n).hexdigest() for n in range(10)]))
    assert len(squeezed) < 10 * 32 + 40
    moments = squeeze(written([str(1_800_000_000_000 + 100 * n) for n in range(100)]))
    assert len(moments) < 100 * 2 + 60


@pytest.mark.parametrize("number", DIGESTS)
def test_phrases_never_change(number):
    """What was written with them could not be read any more: make others, with the next number, and keep these."""
    assert hashlib.sha256(PHRASES[number]).hexdigest() == DIGESTS[number]


def test_every_number_of_phrases_is_held_by_the_test_above():
    assert set(PHRASES) == set(DIGESTS)
