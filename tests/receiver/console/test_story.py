"""The table of phrases: whole, and no entry of a timeline breaks it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.console.story import PHRASES, story

ROOT = Path(__file__).parents[3]
# How scripts and steps name what they write into a timeline.
WRITTEN = (
    re.compile(r"\bevent\([\w.]+, [\w.()]+, '([\w.]+)'"),
    re.compile(r"and '([\w.]+)' or '([\w.]+)', \{"),
    re.compile(r"events(?:: list\[Event\])? ?= ?\[\(\"([\w.]+)\""),
    re.compile(r"\"events\": \[\[\"([\w.]+)\""),
    re.compile(r"\.freed\([\w.]+, \"([\w.]+)\""),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def written() -> set[str]:
    sources = [path.read_text() for path in (ROOT / "workers").rglob("*.*") if path.suffix in (".py", ".lua")]
    return {
        name
        for source in sources
        for pattern in WRITTEN
        for found in pattern.finditer(source)
        for name in found.groups()
    }


def test_every_event_that_is_written_has_a_sentence():
    names = written()
    assert {"accepted", "parked", "delivery.parked", "result", "render.kept", "upstream.freed", "retry"} <= names
    assert names <= set(PHRASES)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"event": "retry", "step": "render", "render": 2, "tries": 3}, "Starting render 2 did not work out and will"),
        ({"event": "retry", "step": "fetch", "tries": 1}, "Fetching the result did not work out and will"),
        ({"event": "parked", "render": 2, "from": "queued"}, "Work on render 2 stopped: a person has to look."),
        ({"event": "parked", "from": "fetching"}, "The job stopped: a person has to look."),
        ({"event": "finished", "renders": 1, "failed": 0}, "The job is finished: 1 render, 0 failed."),
        ({"event": "callback", "duplicate": True}, "Swiftia called once more, with the same words."),
        ({"event": "delivery.parked", "delivery": 4}, "Delivery 4 was given up: a person has to look."),
        ({"event": "render.kept", "render": 1, "size": 1_500_000}, "The file of render 1 is kept here, 1.5 MB."),
        ({"event": "of.a.newer.version"}, "Of.a.newer.version"),
        ({}, "Something happened"),
    ],
)
def test_sentences(entry, sentence):
    (chapter,) = story([entry])
    assert chapter.sentence.startswith(sentence)


@given(st.sampled_from([*PHRASES, "nonsense"]), st.dictionaries(st.text(max_size=8), PLAIN))
def test_whatever_an_entry_holds_there_is_a_sentence(event, facts):
    (chapter,) = story([{**facts, "event": event.partition(" ")[0]}])
    assert chapter.sentence


@pytest.mark.parametrize("event", list(PHRASES))
def test_no_phrase_asks_for_what_is_not_there(event):
    name, _, kind = event.partition(" ")
    entry = {"event": name, "duplicate": kind == "again", "by": kind, "render": 1 if kind == "render" else None}
    (chapter,) = story([entry])
    assert "{" not in chapter.sentence
