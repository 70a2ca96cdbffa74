"""Which shorts are rendered and how: a file of rules, overridden by what one submission asks for."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.results import Short
from workers.rules import RenderRule, read_rule, read_rules, rule_for, same_id

FILE = """
[VideoShorts]
shorts = "all"
preset = "VIRAL"
brand_preset = "brand_22"
size = {width = 1080, height = 1920, name = "9:16"}
options = {maxWordsInPage = 4, style = [{property = "color", value = "red"}]}

[default]
shorts = 1
"""


def short(short_id: int | str) -> Short:
    return Short(id=short_id, title=None, text=None, start=None, end=None)


SHORTS = [short(one) for one in (1, "1", "a", 2)]


def ids(rule: RenderRule) -> list[int | str]:
    return [one.id for one in rule.chosen(SHORTS)]


def test_a_file_says_it_per_function() -> None:
    rules = read_rules(FILE)
    assert ids(rule_for(rules, "VideoShorts", None)) == [1, "1", "a", 2]
    assert ids(rule_for(rules, "Another", None)) == [1]
    assert ids(rule_for(rules, None, None)) == [1]


def test_each_short_gets_the_body_of_one_render() -> None:
    first, *_ = rule_for(read_rules(FILE), "VideoShorts", None).requests("job_1", SHORTS)
    assert first == {
        "id": "job_1",
        "target": 1,
        "preset": "VIRAL",
        "brandPresetId": "brand_22",
        "size": {"width": 1080, "height": 1920, "name": "9:16"},
        "options": {"maxWordsInPage": 4, "style": [{"property": "color", "value": "red"}]},
    }
    assert RenderRule().requests("job_1", SHORTS[1:2]) == [{"id": "job_1", "target": "1"}]


def test_without_a_file_every_short_is_rendered_with_the_defaults() -> None:
    assert rule_for(read_rules(""), "VideoShorts", None) == RenderRule()
    assert ids(RenderRule()) == [1, "1", "a", 2]


@pytest.mark.parametrize(
    ("shorts", "chosen"),
    [
        ('"all"', [1, "1", "a", 2]),
        ('"none"', []),
        ("0", []),
        ("2", [1, "1"]),
        ("99", [1, "1", "a", 2]),
        ("[]", []),
        ("[1]", [1]),
        ('["1"]', ["1"]),
        ('[2, "a", 1]', [1, "a", 2]),
        ('["gone"]', []),
    ],
)
def test_shorts_are_chosen_by_number_or_by_id_of_the_same_type(shorts: str, chosen: list[int | str]) -> None:
    rules = read_rules(f"[default]\nshorts = {shorts}")
    assert ids(rule_for(rules, None, None)) == chosen


def test_one_and_true_and_the_text_one_are_three_ids() -> None:
    assert same_id(1, 1)
    assert same_id("1", "1")
    assert not same_id(1, "1")
    assert not same_id(True, 1)


def test_what_a_submission_asks_for_wins_field_by_field() -> None:
    rules = read_rules(FILE)
    asked = rule_for(rules, "VideoShorts", {"shorts": ["a"], "preset": None, "size": {"width": 720, "height": 720}})
    assert ids(asked) == ["a"]
    (request,) = asked.requests("job_1", SHORTS)
    assert "preset" not in request
    assert request["brandPresetId"] == "brand_22"
    assert request["size"] == {"width": 720, "height": 720}
    assert request["options"]["maxWordsInPage"] == 4


def test_true_stands_for_the_file_and_false_for_nothing() -> None:
    rules = read_rules(FILE)
    assert rule_for(rules, "VideoShorts", True) == rule_for(rules, "VideoShorts", None) == rules["VideoShorts"]
    assert ids(rule_for(rules, "VideoShorts", False)) == []
    assert rule_for(rules, "VideoShorts", {}) == rules["VideoShorts"]


@pytest.mark.parametrize("asked", ["all", 1, 0, 1.5, [], ["a"], [True]])
def test_anything_else_is_refused_and_not_taken_for_the_rules(asked: object) -> None:
    with pytest.raises(InvalidInput, match="render is true, false, or an object"):
        rule_for({}, "VideoShorts", asked)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("shorts = true", "shorts"),
        ("shorts = -1", "shorts"),
        ("shorts = 1.5", "shorts"),
        ('shorts = "most"', "shorts"),
        ("shorts = [true]", "shorts"),
        ("shorts = [1.5]", "shorts"),
        ("preset = 3", "preset"),
        (f'preset = "{"x" * 101}"', "preset"),
        ("brand_preset = []", "brand_preset"),
        ("size = 3", "size"),
        ("size = {}", "size.width"),
        ("size = {width = 0, height = 1}", "size.width"),
        ("size = {width = 1, height = -5}", "size.height"),
        ('size = {width = 1, height = "big"}', "size.height"),
        ("size = {width = 1, height = 1.5}", "size.height"),
        ("size = {width = true, height = 1}", "size.width"),
        ("size = {width = 1, height = 1, depth = 1}", "size.depth"),
        ("options = 3", "options"),
        ("options = {since = 2026-01-01}", "options"),
        ("options = {a = {b = [nan]}}", "options"),
        ("options = {a = inf}", "options"),
        ("colour = 3", "colour"),
    ],
)
def test_an_error_names_the_table_and_the_field(line: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_rules(f"[default]\n\n[VideoShorts]\n{line}\n")
    assert caught.value.message.startswith(f"RENDER_RULES [VideoShorts] {field}: ")


def test_the_same_words_are_said_of_a_submission() -> None:
    with pytest.raises(InvalidInput, match=r"^render shorts: must be \"all\", \"none\", a number from 0"):
        rule_for({}, "VideoShorts", {"shorts": "most"})
    with pytest.raises(InvalidInput, match=r"^render size\.width: "):
        rule_for({}, "VideoShorts", {"size": {"height": 1}})


def test_a_rule_outside_of_any_table_is_told_so() -> None:
    with pytest.raises(InvalidInput, match=r"RENDER_RULES \[shorts\] must be a table .*preset"):
        read_rules("shorts = 1")


@pytest.mark.parametrize("text", ["[", "a = ", "a = " + "[" * 5000, "a = " + "9" * 5000, "[a]\n[a]", "a = 2026-99-99"])
def test_what_is_no_toml_is_told_so(text: str) -> None:
    with pytest.raises(InvalidInput, match="RENDER_RULES is no TOML") as caught:
        read_rules(text)
    assert len(caught.value.message) < 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*RenderRule.model_fields, "other"])


@settings(max_examples=200, deadline=None)
@given(
    st.text() | st.builds("[t]\n{} = {}".format, FIELDS, st.text()) | st.builds("[t]\nsize = {{{}}}".format, st.text())
)
def test_any_text_gives_rules_or_our_error(text: str) -> None:
    try:
        read_rules(text)
    except InvalidInput:
        return


@settings(max_examples=300, deadline=None)
@given(VALUES | st.dictionaries(FIELDS, VALUES, max_size=4))
def test_what_passes_can_be_sent(value: object) -> None:
    try:
        rule = read_rule(value, where="render")
    except InvalidInput:
        return
    for request in rule.requests("job_1", SHORTS):
        json.dumps(request, allow_nan=False)


def test_options_of_any_depth_are_refused_or_sent() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="render options"):
        read_rule({"options": {"a": deep}}, where="render")
