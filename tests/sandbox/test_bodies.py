"""Whatever is sent, it is read or refused with a 400."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.sandbox.answers import Refused
from workers.sandbox.bodies import is_url, read_object
from workers.sandbox.render_orders import PRESETS, read_order
from workers.sandbox.submissions import Clip, read_submission

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
JOB = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk"}
RENDER = {"id": "job_1", "target": 1}


def outcome_of(read):
    """Return what was read, or the status of the refusal."""
    try:
        return read()
    except Refused as refused:
        return refused.answer.status


def objects(*names: str) -> st.SearchStrategy:
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), JSON_VALUES, max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(body):
    outcome = outcome_of(lambda: read_object(body, "application/json"))

    assert outcome == 400 or isinstance(outcome, dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000,
        b"\xff\xfe{}",
    ],
)
def test_hostile_bytes(body):
    with pytest.raises(Refused):
        read_object(body, "application/json")


def test_only_json_is_read():
    assert read_object(b"{}", "Application/JSON; charset=utf-8") == {}
    with pytest.raises(Refused):
        read_object(b"{}", "text/plain")


@settings(max_examples=50, deadline=None)
@given(objects("functionName", "youtubeVideoId", "fileUrl", "options", "webhook", "name"), objects("predefinedShorts"))
def test_any_submission(document, options):
    for whole in (document, {**JOB, **document}, {**JOB, "options": options}):
        outcome = outcome_of(lambda whole=whole: read_submission(whole))
        assert outcome == 400 or outcome.video


@settings(max_examples=50, deadline=None)
@given(
    objects("id", "jobId", "target", "preset", "size", "options", "type", "brandPresetId"),
    objects("maxWordsInPage", "waterMark", "style", "director"),
)
def test_any_order(document, options):
    for whole in (document, {**RENDER, **document}, {**RENDER, "options": options}):
        outcome = outcome_of(lambda whole=whole: read_order(whole))
        assert outcome == 400 or outcome.job_id


@pytest.mark.parametrize(
    "change",
    [
        {"functionName": ""},
        {"functionName": "Other"},
        {"functionName": 7},
        {"youtubeVideoId": ""},
        {"youtubeVideoId": None},
        {"youtubeVideoId": 7},
        {"fileUrl": "ftp://example.org/a.mp4"},
        {"options": []},
        {"options": {"predefinedShorts": []}},
        {"options": {"predefinedShorts": [7]}},
        {"options": {"predefinedShorts": [{"start": 5, "end": 5}]}},
        {"options": {"predefinedShorts": [{"start": 0, "end": 300.5}]}},
        {"options": {"predefinedShorts": [{"start": -1, "end": 3}]}},
        {"options": {"predefinedShorts": [{"start": "0", "end": "3"}]}},
        {"options": {"predefinedShorts": [{"start": 10**400, "end": 10**401}]}},
        {"options": {"predefinedShorts": [{"start": False, "end": True}]}},
        {"webhook": None},
        {"webhook": "hooks.example.org"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "http://[::1"},
        {"webhook": "http://a.example/x y"},
        {"webhook": "http://a.example/\r\nX: y"},
    ],
)
def test_submissions_that_are_refused(change):
    with pytest.raises(Refused):
        read_submission({**JOB, **change})


def test_submissions_that_are_taken():
    clips = [{"title": "Opening", "start": 0.22, "end": 251.0}, {"start": 1, "end": 301}]
    by_url = {"functionName": "VideoShorts", "fileUrl": "https://cdn.example.org/a.mp4", "webhook": ""}
    nested = {"functionName": "VideoShorts", "options": {"youtubeVideoId": "abcdefghijk"}, "webhook": ""}

    assert read_submission({**JOB, "options": {"predefinedShorts": clips}}).clips == (
        Clip("Opening", 0.22, 251.0),
        Clip("", 1.0, 301.0),
    )
    assert read_submission(by_url).video == "https://cdn.example.org/a.mp4"
    assert read_submission(nested).video == "abcdefghijk"
    assert read_submission({**JOB, "videoSource": "youtube", "name": "Mine"}).title == "Mine"
    assert read_submission({**JOB, "metadata": {}, "render": False}).unknown == ("metadata", "render")


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": 7},
        {"target": None},
        {"type": "longVideo"},
        {"preset": "viral"},
        {"preset": ""},
        {"size": {"width": 1080}},
        {"size": {"width": "1080", "height": 1920, "name": "9:16"}},
        {"options": {"maxWordsInPage": 0}},
        {"options": {"maxWordsInPage": True}},
        {"options": {"waterMark": {"opacity": 0.8}}},
        {"options": {"waterMark": {"opacity": "1.5"}}},
        {"options": {"waterMark": {"opacity": "nan"}}},
        {"options": {"style": {}}},
        {"options": {"style": [{"value": "#fff"}]}},
        {"options": {"director": {"camera": {"facePaddingFactor": "3"}}}},
    ],
)
def test_orders_that_are_refused(change):
    with pytest.raises(Refused):
        read_order({**RENDER, **change})


def test_orders_that_are_taken():
    style = [{"property": "color", "value": "#ffffff", "active": {"value": "#00ffaa", "duration": 0.2}}]
    mark = {
        "waterMarkUrl": "https://cdn.example.org/l.png",
        "left": "calc(50% - 90px)",
        "bottom": "70%",
        "opacity": "0.8",
    }
    director = {"camera": {"facePaddingFactor": 3.0}, "intelligence": {"maxSpeakersToFocus": 2}}
    options = {"style": style, "waterMark": mark, "director": director, "maxWordsInPage": 4}

    for preset in PRESETS:
        assert read_order({**RENDER, "preset": preset}).job_id == "job_1"
    assert (
        read_order({**RENDER, "size": {"width": 1080, "height": 1920, "name": "9:16"}, "options": options}).target == 1
    )
    assert read_order({"jobId": "job_1", "target": "1"}).old_name
    assert read_order({**RENDER, "brandPresetId": "brand_22", "type": "shortVideo"}).brand_preset == "brand_22"
    assert read_order({**RENDER, "hurry": 1, "options": {"speed": 2}}).unknown == ("hurry", "options.speed")


def test_the_client_form_without_a_job_id_is_refused():
    with pytest.raises(Refused):
        read_order(json.loads('{"shortId": 1, "renderOptions": {"maxWordsInPage": 4}}'))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(max_size=40).map(lambda rest: "http://" + rest))
def test_any_text_is_a_url_or_not(text):
    assert is_url(text) in {True, False}
