import json
import math
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.documents import member, number, parse_json, text, whole
from workers.errors import InvalidInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PICKERS = (text, number, whole, lambda value: member(value, "id"), lambda value: text(value, limit=3))


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(b"\xff")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5000)
@example(b"-" + b"9" * 5000)
@example(b"1e999")
@example(b"NaN")
@example(b"[-Infinity]")
@example(b'"\\ud800"')
@example(b"\xed\xa0\x80")
@example("{}".encode("utf-16"))
@example(b"\x00")
@example(b"")
def test_any_bytes_are_a_value_or_ours(raw):
    with suppress(InvalidInput):
        json.dumps(parse_json(raw, what="it"), allow_nan=False)


@settings(max_examples=100)
@given(JSON)
def test_what_json_writes_is_read_back(value):
    raw = json.dumps(value).encode()
    assert parse_json(raw, what="it") == value
    assert parse_json(b"\xef\xbb\xbf" + raw, what="it") == value


@pytest.mark.parametrize("raw", [b"NaN", b"[Infinity]", b"-Infinity", b"1e400", b"9" * 5000, b"[" * 10_000, b"{}{}"])
def test_what_is_refused(raw):
    with pytest.raises(InvalidInput):
        parse_json(raw, what="it")


def test_of_a_repeated_key_the_last_counts():
    assert parse_json(b'{"a": 1, "a": 2}', what="it") == {"a": 2}


def test_the_message_says_where_and_not_what():
    with pytest.raises(InvalidInput, match=r"\(character 13\)") as caught:
        parse_json(b'{"phone": 1, secret}', what="it")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@settings(max_examples=200)
@given(JSON | st.just(10**400) | st.just(-(10**400)) | st.just("\udfff") | st.just(math.nan) | st.just(math.inf))
def test_pickers_never_raise(value):
    for pick in PICKERS:
        pick(value)
    for found in (number(value), whole(value)):
        assert found is None or math.isfinite(found)
    (text(value) or "").encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("12.5", 12.5),
        (" 3 ", 3.0),
        ("-1e3", -1000.0),
        (".5", 0.5),
        (True, None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e9999", None),
        ("1_000", None),
        ("٣", None),
        ("0x10", None),
        ("1" * 65, None),
        (None, None),
        ([1], None),
        (10**400, None),
        (math.inf, None),
    ],
)
def test_numbers(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(7, 7), (7.0, 7), ("7", 7), (7.5, None), (-1, None), (2**54, None), (True, None)]
)
def test_whole_numbers(value, expected):
    found = whole(value)
    assert found == expected
    assert not isinstance(found, float)


def test_texts():
    assert text("  \n") is None
    assert text(7) is None
    assert text("abcdef", limit=3) == "abc"
    assert text("a\ud800b") == "a\ufffdb"


def test_member_takes_the_first_that_is_not_null():
    assert member({"a": None, "b": 0}, "a", "b") == 0
    assert member({"a": 1}, "b") is None
    assert member([1], "a") is None
