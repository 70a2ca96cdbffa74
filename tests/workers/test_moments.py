from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.moments import LATEST_MS, moment, read_moment

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(ms=st.integers(0, LATEST_MS))
def test_milliseconds_are_read_as_they_are(ms):
    assert read_moment(str(ms), what="since") == ms


@given(at=st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_iso_8601_is_read_with_its_offset(at):
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
    ms = round((whole - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    assert read_moment(whole.isoformat(), what="since") == ms
    assert read_moment(whole.isoformat().lower(), what="since") == ms


@given(at=st.datetimes(timezones=OFFSETS))
def test_every_moment_there_can_be_is_some_number_of_milliseconds(at):
    assert 0 <= read_moment(at.isoformat(), what="since") <= LATEST_MS


@given(text=st.text(max_size=40))
def test_any_text_is_a_moment_or_invalid_input(text):
    try:
        found = read_moment(text, what="since")
    except InvalidInput:
        return
    assert 0 <= found <= LATEST_MS


def test_a_plus_that_became_a_space_is_explained():
    with pytest.raises(InvalidInput, match="%2B"):
        read_moment("2026-05-01T12:00:00 02:00", what="until")


@given(st.integers(0, LATEST_MS))
@settings(max_examples=200)
def test_a_moment_can_be_read_back(milliseconds):
    text = moment(milliseconds)
    assert text is not None
    # Computed in whole numbers: a float of this size no longer holds a millisecond.
    read = datetime.fromisoformat(text)
    seconds = (read - datetime.fromisoformat("1970-01-01T00:00:00+00:00")).total_seconds()
    assert round(seconds * 1000) == milliseconds


@given(st.one_of(st.none(), st.text(max_size=30), st.floats(), st.integers()))
@settings(max_examples=300)
def test_a_moment_of_anything_is_a_text_or_none(value):
    assert moment(value) is None or isinstance(moment(value), str)
