"""Bodies from streams that behave as a server's do: endless, cut short, failing."""

import io

import pytest
from flask import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from receiver.bodies import MAX_DEPTH, BodyTooLarge, read_body, read_object
from workers.errors import InvalidInput

LIMIT = 1000


class Endless(io.RawIOBase):
    """Counts what is taken from it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self.taken += len(buffer)
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


class Failing(io.RawIOBase):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer) -> int:
        raise self.error


def chunked(stream: object) -> Request:
    """As gunicorn hands over a chunked body: no length, a stream that ends by itself."""
    environ = EnvironBuilder(method="POST").get_environ()
    environ.pop("CONTENT_LENGTH", None)
    return Request(
        {**environ, "wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    )


def announced(length: object, body: bytes) -> Request:
    environ = EnvironBuilder(method="POST").get_environ()
    return Request(
        {
            **environ,
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": str(length),
        }
    )


@given(size=st.integers(0, 3 * LIMIT), make=st.sampled_from(["chunked", "announced"]))
@settings(max_examples=60)
def test_a_body_is_whole_or_too_large(size, make):
    body = b"x" * size
    request = chunked(io.BytesIO(body)) if make == "chunked" else announced(size, body)
    if size <= LIMIT:
        assert read_body(request, limit=LIMIT) == body
    else:
        with pytest.raises(BodyTooLarge):
            read_body(request, limit=LIMIT)


def test_an_endless_body_is_not_read_to_its_end():
    stream = Endless()
    with pytest.raises(BodyTooLarge):
        read_body(chunked(stream), limit=LIMIT)
    assert stream.taken <= LIMIT + 1


@pytest.mark.parametrize("there", [0, 1, 99])
def test_a_body_that_was_cut_short_is_invalid(there):
    with pytest.raises(InvalidInput, match=f"after {there} of 100"):
        read_body(announced(100, b"x" * there), limit=LIMIT)


def test_a_length_over_the_limit_is_refused_without_reading():
    request = announced(LIMIT * 1000, b"")
    with pytest.raises(BodyTooLarge):
        read_body(request, limit=LIMIT)


@pytest.mark.parametrize(
    "error", [OSError("reset"), BlockingIOError(11, "timeout"), ValueError("chunk"), KeyError("x")]
)
def test_whatever_a_stream_raises_is_invalid_input(error):
    with pytest.raises(InvalidInput, match="ended early"):
        read_body(chunked(Failing(error)), limit=LIMIT)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("depth", "fits"), [(1, True), (MAX_DEPTH - 1, True), (MAX_DEPTH + 1, False), (100_000, False)]
)
def test_nesting_is_limited(depth, fits):
    request = chunked(io.BytesIO(nested(depth)))
    if fits:
        assert isinstance(read_object(request), dict)
    else:
        with pytest.raises(InvalidInput, match="nested"):
            read_object(request)


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_are_an_object_or_invalid_input(body):
    try:
        assert isinstance(read_object(chunked(io.BytesIO(body))), dict)
    except InvalidInput:
        return


def test_no_body_counts_as_an_empty_object_only_where_it_may():
    assert read_object(chunked(io.BytesIO(b"")), optional=True) == {}
    with pytest.raises(InvalidInput):
        read_object(chunked(io.BytesIO(b"")))
