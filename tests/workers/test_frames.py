"""What is written as an event is read back as the same one, by a parser that knows only the standard."""

import http.client
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.listening import Heard, Parser
from workers import frames
from workers.errors import InvalidInput

ANY = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = st.text(st.sampled_from("\r\n\0: \ufeff\u2028iddataevent")) | ANY
LINES = NASTY.filter(lambda text: not re.search(r"[\r\n\0]", text))
IDS = st.tuples(st.integers(0, 10**19 - 1), st.integers(0, 10**19 - 1))


@given(st.lists(st.tuples(NASTY, LINES, st.none() | IDS), max_size=5))
def test_any_strings_come_back_as_they_were(values):
    parser, last, expected = Parser(), "", []
    raw = b""
    for data, event, at in values:
        last = last if at is None else frames.write_id(at)
        raw += frames.frame(data, event=event, at=at)
        expected.append(Heard(event or "message", data.replace("\r\n", "\n").replace("\r", "\n"), last))
    assert parser.lines(raw.decode()) == expected


@given(NASTY, st.none() | IDS, IDS)
def test_a_comment_is_heard_by_nobody_and_moves_the_id(text, at, before):
    parser = Parser()
    raw = frames.frame("x", at=before) + frames.comment(text, at=at)
    assert len(parser.lines(raw.decode())) == 1
    assert parser.last_id == frames.write_id(before if at is None else at)
    assert parser.comments


@pytest.mark.parametrize("event", ["a\nb", "a\r", "\0"])
def test_the_name_of_an_event_is_one_line(event):
    with pytest.raises(InvalidInput):
        frames.frame("{}", event=event)


def test_half_a_character_breaks_nothing():
    assert Parser().lines(frames.frame("\ud800", event="x\udfff").decode()) == [Heard("x?", "?", "")]


def test_the_pause_is_read():
    parser = Parser()
    assert parser.lines(frames.pause(2000).decode()) == []
    assert parser.retry == 2000


@given(IDS)
def test_an_id_reads_back(at):
    assert frames.read_id(frames.write_id(at)) == at


@given(ANY | st.from_regex(r"\d{1,21}-\d{1,21}", fullmatch=True))
def test_anything_is_an_id_or_refused(text):
    try:
        at = frames.read_id(text)
    except InvalidInput:
        return
    assert frames.write_id(at) == text
    assert max(at) < 2**64


@pytest.mark.parametrize(
    "text", ["", "5", "-", "5-", "-5", "5-0-0", "05-0", "5-0 ", "5-0\n", "٣-0", "$", "+", f"{2**64}-0"]
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(InvalidInput):
        frames.read_id(text)


class Wire:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


@given(st.lists(st.binary(min_size=1)))
def test_chunks_are_read_back(pieces):
    body = b"".join(map(frames.chunk, [*pieces, b""]))
    answer = http.client.HTTPResponse(Wire(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    answer.begin()
    assert answer.read() == b"".join(pieces)
