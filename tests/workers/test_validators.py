import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.validators import Span, is_same, length, span, validator

OLD = "Tue, 24 Nov 2026 10:00:00 GMT"
NOW = "Tue, 24 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize("tag", ['"abc"', '""', '"a-b/c:d"', '"' + "x" * 254 + '"'])
def test_a_strong_tag_is_one(tag):
    assert validator({"etag": tag, "last-modified": OLD, "date": NOW}) == tag
    assert is_same(tag, {"etag": tag})


@pytest.mark.parametrize(
    "tag", ['W/"abc"', "abc", '"abc', '"a" , "b"', '"a"b"', '"ü"', '"a b"', '"' + "x" * 255 + '"', ""]
)
def test_anything_else_is_none(tag):
    assert validator({"etag": tag}) == ""
    assert validator({"etag": tag, "last-modified": OLD, "date": NOW}) == OLD


@pytest.mark.parametrize(
    ("modified", "sent"),
    [
        (NOW, NOW),
        ("Tue, 24 Nov 2026 11:59:01 GMT", NOW),
        (NOW, OLD),
        (OLD, ""),
        (OLD, "yesterday"),
        ("2026-11-24T10:00:00Z", NOW),
        ("Tue, 99 Nov 2026 10:00:00 GMT", NOW),
        ("", NOW),
    ],
)
def test_a_date_that_may_hide_a_change_is_none(modified, sent):
    assert validator({"last-modified": modified, "date": sent}) == ""


def test_a_date_is_one_when_it_was_a_minute_old():
    assert validator({"last-modified": "Tue, 24 Nov 2026 11:59:00 GMT", "date": NOW}) != ""


@pytest.mark.parametrize(
    ("known", "headers"),
    [
        ('"abc"', {}),
        ('"abc"', {"etag": '"abd"'}),
        ('"abc"', {"etag": 'W/"abc"'}),
        ('"abc"', {"last-modified": '"abc"'}),
        (OLD, {}),
        (OLD, {"last-modified": NOW}),
        (OLD, {"etag": OLD}),
        ("", {}),
        ("", {"etag": ""}),
    ],
)
def test_what_is_not_provably_the_same_is_another(known, headers):
    assert not is_same(known, headers)


def test_a_date_is_the_same_date():
    assert is_same(OLD, {"last-modified": OLD, "etag": '"new"'})


@given(st.integers(0, 10**18 - 1), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_span_is_read_as_it_is_written(start, size, rest):
    total = start + size + rest
    found = span(f"bytes {start}-{start + size - 1}/{total}")
    assert found == (Span(start, start + size, total) if total < 10**18 else None)


@pytest.mark.parametrize(
    "text",
    ["", "bytes */5", "bytes 0-4/*", "bytes 4-0/5", "bytes 0-5/5", "bytes 0-4", "items 0-4/5", "bytes 0-4/5, 5-6/7",
     "bytes=0-4/5", "bytes -1-4/5", "bytes \u0660-\u0664/\u0665", "bytes 0-4/" + "9" * 19],
)  # fmt: skip
def test_no_other_span_is_one(text):
    assert span(text) is None


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_words_are_read_without_a_fault(tag, modified, date):
    found = validator({"etag": tag, "last-modified": modified, "date": date})
    assert found in ("", tag.strip(), modified.strip())
    assert length(tag) is None or tag.isdecimal()
    assert span(tag) is None or tag.startswith("bytes")
