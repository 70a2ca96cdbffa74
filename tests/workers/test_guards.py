"""What is looked at before a job is paid for."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.guards import LONGEST_SHORT_S, MOST_NOTES, PRESETS, check_render_options, check_request, render_notes
from workers.rules import read_rules, rule_for

VIDEO = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk"}
NAMES = (
    *("functionName", "youtubeVideoId", "fileUrl", "options", "predefinedShorts", "title", "start", "end"),
    *("maxWordsInPage", "waterMark", "waterMarkUrl", "style", "director", "size", "width", "height", "preset"),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["VideoShorts", "VIRAL", "12.5", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner),
    max_leaves=25,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), VALUES, max_size=8)
TIMES = (
    st.integers(-10, 700)
    | st.floats(-10, 700)
    | st.sampled_from([float("nan"), float("inf"), 10**400, True, "1", None])
)


def cut(**short: object) -> dict[str, object]:
    return {**VIDEO, "options": {"predefinedShorts": [{"title": "One", "start": 0.22, "end": 251.0}, short]}}


@pytest.mark.parametrize(
    "request_body",
    [
        VIDEO,
        {"functionName": "VideoShorts", "fileUrl": "https://cdn.example.org/a.mp4"},
        {**VIDEO, "options": {}},
        {**VIDEO, "options": None, "fileUrl": None},
        cut(title="Two", start=0, end=300),
        cut(start=0.5, end=1),
    ],
)
def test_what_is_documented_passes_without_a_note(request_body):
    assert check_request(request_body) == ()


@pytest.mark.parametrize(
    ("request_body", "field", "said"),
    [
        ({}, "functionName", "for shorts it is VideoShorts"),
        ({"functionName": 7}, "functionName", "for shorts it is VideoShorts"),
        ({"functionName": "VideoShorts"}, "youtubeVideoId", "or fileUrl, and has neither; give one"),
        ({"functionName": "VideoShorts", "youtubeVideoId": None}, "youtubeVideoId", "has neither"),
        ({"functionName": "VideoShorts", "options": {"youtubeVideoId": 5}}, "options.youtubeVideoId", "5"),
        ({**VIDEO, "youtubeVideoId": 12}, "youtubeVideoId", "is 12; it must be text"),
        ({**VIDEO, "fileUrl": " "}, "fileUrl", "empty text"),
        ({**VIDEO, "fileUrl": ["x"]}, "fileUrl", "a list"),
        ({**VIDEO, "options": "fast"}, "options", "'fast'; it must be an object"),
        ({"functionName": "Another", "options": 1}, "options", "an object"),
        ({**VIDEO, "options": {"predefinedShorts": {}}}, "options.predefinedShorts", "a list of"),
        ({**VIDEO, "options": {"predefinedShorts": [1]}}, "options.predefinedShorts[0]", "an object with"),
        (cut(start=5, end=5), "options.predefinedShorts[1].end", "ends after it starts"),
        (cut(start=48, end=12), "options.predefinedShorts[1].end", "end is 12 and start is 48"),
        (cut(start=0, end=300.5), "options.predefinedShorts[1].end", "lasts 300.5 s; Swiftia takes at most 300 s"),
        (cut(start=-1, end=5), "options.predefinedShorts[1].start", "seconds from 0"),
        (cut(start=1), "options.predefinedShorts[1].end", "is missing"),
        (cut(start="1", end=5), "options.predefinedShorts[1].start", "without quotes"),
        (cut(start=True, end=5), "options.predefinedShorts[1].start", "is true"),
        (cut(start=0, end=10**400), "options.predefinedShorts[1].end", "no number that can be used"),
        (cut(title=7, start=0, end=5), "options.predefinedShorts[1].title", "is 7"),
    ],
)
def test_what_is_certainly_wrong_is_refused_by_name_and_with_the_fix(request_body, field, said):
    with pytest.raises(InvalidInput) as caught:
        check_request(request_body)
    assert caught.value.values["field"] == field
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        ({**VIDEO, "name": "Episode 12"}, "'name' is not known here and passed on as it is"),
        ({**VIDEO, "youtubeVideoID": "x"}, "'youtubeVideoID' is not known here and passed on as it is; did you mean"),
        ({**VIDEO, "options": {"predefinedShort": []}}, "did you mean predefinedShorts?"),
        ({**VIDEO, "options": {"predefinedShorts": []}}, "empty list"),
        ({"functionName": "VideoShorts", "options": {"youtubeVideoId": "x"}}, "outside of options"),
        ({"functionName": "VideoShort"}, "did you mean VideoShorts?"),
        ({"functionName": "AudioProcessor"}, "functionName 'AudioProcessor' is not known here"),
        (cut(start=0, end=5, color="red"), "options.predefinedShorts[1].'color'"),
    ],
)
def test_what_is_only_unknown_is_passed_on_with_a_note(request_body, said):
    (note,) = check_request(request_body)
    assert said in note


def test_there_are_never_many_notes():
    shorts = [{"start": 0, "end": 1, **{f"x{n}": 1 for n in range(50)}} for _ in range(200)]
    found = check_request({**VIDEO, "options": {"predefinedShorts": shorts}, **{f"y{n}": 1 for n in range(5000)}})
    assert len(found) == MOST_NOTES + 1
    assert found[-1] == "and more of this kind"


@given(OBJECTS)
@example({"functionName": "VideoShorts", "\ud800": 1, "youtubeVideoId": "x"})
def test_any_object_is_refused_by_us_or_has_notes(request_body):
    try:
        notes = check_request(request_body)
    except InvalidInput as error:
        json.dumps(error.values)
        error.message.encode()
        return
    assert all(note.isascii() and len(note) < 400 for note in notes)


@given(start=TIMES, end=TIMES)
def test_a_cut_is_taken_if_and_only_if_it_can_be_made(start, end):
    real = [value for value in (start, end) if type(value) in (int, float) and abs(value) < 10**300]
    fits = len(real) == 2 and 0 <= start < end and end - start <= LONGEST_SHORT_S
    try:
        check_request(cut(start=start, end=end))
    except InvalidInput:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"maxWordsInPage": 0}, "maxWordsInPage"),
        ({"maxWordsInPage": "5"}, "maxWordsInPage"),
        ({"maxWordsInPage": True}, "maxWordsInPage"),
        ({"maxWordsInPage": 2.5}, "maxWordsInPage"),
        ({"waterMark": "logo.png"}, "waterMark"),
        ({"waterMark": {"waterMarkUrl": 5}}, "waterMark.waterMarkUrl"),
        ({"director": []}, "director"),
        ({"style": {}}, "style"),
        ({"style": ["color"]}, "style"),
    ],
)
def test_wrong_render_options_are_refused_wherever_they_stand(options, field):
    with pytest.raises(InvalidInput, match=field):
        check_render_options(options)
    with pytest.raises(InvalidInput, match=rf"render options: {field}"):
        rule_for({}, "VideoShorts", {"options": options})


def test_a_file_of_rules_passes_the_same_checks():
    with pytest.raises(InvalidInput, match=r"RENDER_RULES \[VideoShorts\] options: maxWordsInPage is 0; it must be a"):
        read_rules("[VideoShorts]\noptions = {maxWordsInPage = 0}")
    with pytest.raises(InvalidInput, match=r"RENDER_RULES \[VideoShorts\] size.width"):
        read_rules("[VideoShorts]\nsize = {width = 20000, height = 10}")
    rule = read_rules('[VideoShorts]\npreset = "VIRALL"\noptions = {maxWordInPage = 3}')["VideoShorts"]
    preset, option = rule.notes
    assert "did you mean VIRAL?" in preset
    assert "did you mean maxWordsInPage?" in option


@pytest.mark.parametrize("size", [{"width": 0, "height": 5}, {"width": -1, "height": 5}, {"width": 5, "height": 10**9}])
def test_sizes_that_no_video_has_are_refused(size):
    with pytest.raises(InvalidInput, match=r"render size\."):
        rule_for({}, "VideoShorts", {"size": size})


@pytest.mark.parametrize("preset", PRESETS)
def test_known_presets_have_no_note(preset):
    assert render_notes(preset=preset, brand_preset=None, options={"maxWordsInPage": 4, "style": []}) == ()


def test_what_is_unknown_of_a_render_is_noted():
    strange, twice, option = render_notes(preset="NEON", brand_preset="b", options={"glow": 1})
    assert "'NEON' is not known here and passed on as it is; known are DEFAULT" in strange
    assert "no effect beside brand_preset" in twice
    assert option.startswith("render.options.'glow' is not known")


@given(VALUES)
def test_any_options_are_refused_by_us_or_taken(options):
    with suppress(InvalidInput):
        rule = rule_for({}, "VideoShorts", {"options": options})
        assert all(note.isascii() for note in rule.notes)
