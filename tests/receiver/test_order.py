import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.order import nested, order, source
from workers.errors import InvalidInput


@pytest.mark.parametrize(
    "video",
    ["dQw4w9WgXcQ", "-dQw4w9WgX_", "https://youtu.be/dQw4w9WgXcQ", "http://www.youtube.com/watch?v=dQw4w9WgXcQ",
     "https://M.YouTube.com/watch?v=x", "https://youtube.com:443/shorts/x", " dQw4w9WgXcQ "],
)  # fmt: skip
def test_youtube_is_known_by_its_ids_and_its_hosts(video):
    assert source(video) == {"youtubeVideoId": video.strip()}


@pytest.mark.parametrize(
    "video",
    ["https://cdn.example.org/talk.mp4", "http://127.0.0.1:9/a", "https://youtube.com.example.org/x",
     "https://notyoutube.com/watch?v=x"],
)  # fmt: skip
def test_any_other_web_address_is_a_file(video):
    assert source(video) == {"fileUrl": video}


@pytest.mark.parametrize("video", ["", "ab", "talk.mp4", "ftp://h/a.mp4", "https://", "http://[::1", "file:///etc/x"])
def test_what_is_no_video_is_said_so(video):
    with pytest.raises(InvalidInput, match="give a YouTube id"):
        source(video)


def test_values_are_json_where_they_can_be():
    pairs = ["a=1", "b=true", "c=[1, 2]", 'd="1"', "e=x=y", "f=", "g=NaN", "h.i.j=null", "h.k=deep"]
    assert nested(pairs, what="--option") == {
        "a": 1, "b": True, "c": [1, 2], "d": "1", "e": "x=y", "f": "", "g": "NaN", "h": {"i": {"j": None}, "k": "deep"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["a"], "is not key=value"),
        (["=1"], "is not key=value"),
        (["a..b=1"], "is not key=value"),
        (["a=1", "a=2"], "given twice"),
        (["a=1", "a.b=2"], "has a value of its own"),
        (["a.b=1", "a=2"], "given twice"),
    ],
)
def test_pairs_that_contradict_or_are_none_are_refused(pairs, words):
    with pytest.raises(InvalidInput, match=words):
        nested(pairs, what="--option")


def test_an_order_holds_what_was_asked_and_no_more():
    bare = order("dQw4w9WgXcQ", function="VideoShorts", options=(), metadata=(), render=True)
    assert bare == {"functionName": "VideoShorts", "youtubeVideoId": "dQw4w9WgXcQ"}
    full = order("dQw4w9WgXcQ", function="F", options=("a.b=1",), metadata=("team=red",), render=False)
    assert full == {
        "functionName": "F",
        "youtubeVideoId": "dQw4w9WgXcQ",
        "options": {"a": {"b": 1}},
        "metadata": {"team": "red"},
        "render": False,
    }


@given(st.text(max_size=40), st.lists(st.text(max_size=12), max_size=4))
@settings(max_examples=200)
def test_any_words_make_an_order_or_fail_as_ours(video, pairs):
    with contextlib.suppress(InvalidInput):
        json.dumps(order(video, function="F", options=pairs, metadata=(), render=True))
