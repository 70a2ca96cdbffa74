"""Ids from outside: only what can stand in a URL, a key and a path gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.identifiers import JobSubject, RefSubject, RenderSubject, Subject, is_job_id, is_ref, job_id, parse_subject

ALPHABET = "ABCXYZabcxyz0189_-"
JOBS = st.text(ALPHABET, min_size=1, max_size=128)
REFS = st.text(ALPHABET, min_size=22, max_size=64)
SUBJECTS = (
    st.builds(JobSubject, JOBS) | st.builds(RenderSubject, JOBS, st.integers(1, 999_999)) | st.builds(RefSubject, REFS)
)


@given(SUBJECTS)
def test_a_subject_is_read_back_from_its_text(subject: Subject) -> None:
    assert parse_subject(str(subject)) == subject


@given(st.text() | st.from_regex(r"(ref:)?[A-Za-z0-9_-]{0,70}(/[0-9]{0,8})?\n?"))
def test_any_text_gives_a_subject_or_our_error(text: str) -> None:
    try:
        subject = parse_subject(text)
    except InvalidInput:
        return
    assert str(subject) == text


def test_a_long_text_is_cut_in_the_error() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_subject("/" * 10_000)
    assert len(repr(caught.value.values)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/1",
        "a/",
        "a/0",
        "a/01",
        "a/1/2",
        "a/-1",
        "a/1000000",
        "a/\u0661",
        "a\n",
        "a/1\n",
        "ref:",
        "ref:short",
        "é",
    ],
)
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_subject(text)


@pytest.mark.parametrize("value", ["a", "A-_9", "x" * 128, "7"])
def test_job_ids(value: str) -> None:
    assert is_job_id(value)
    assert job_id(value) == value


@pytest.mark.parametrize(
    "value", ["", "x" * 129, "a/b", "../x", "a b", "a:b", "a\n", "ß", "\ud800", None, 7, True, b"a", ["a"], {"a": 1}]
)
def test_what_is_no_job_id_is_refused(value: object) -> None:
    assert not is_job_id(value)
    with pytest.raises(InvalidInput, match="128 letters"):
        job_id(value)


def test_a_ref_is_never_short() -> None:
    assert is_ref("r" * 22)
    assert is_ref("r" * 64)
    assert not is_ref("r" * 21)
    assert not is_ref("r" * 65)
    assert not is_ref("shared")
    assert not is_ref(None)
