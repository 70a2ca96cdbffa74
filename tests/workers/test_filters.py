import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.filters import EVERYTHING, Wanted, search
from workers.states import JobState


@pytest.mark.parametrize(
    ("wanted", "fields", "fits"),
    [
        (EVERYTHING, {}, True),
        (Wanted(function="VideoShorts"), {"function": "VideoShorts"}, True),
        (Wanted(function="VideoShorts"), {"function": "videoshorts"}, False),
        (Wanted(function="VideoShorts"), {}, False),
        (Wanted(account="acme"), {"account": "acme"}, True),
        (Wanted(account="acme"), {}, False),
        (Wanted(metadata=(("order", "7"),)), {"metadata": '{"order":7}'}, True),
        (Wanted(metadata=(("order", "7"),)), {"metadata": '{"order":"7"}'}, True),
        (Wanted(metadata=(("order", "7.0"),)), {"metadata": '{"order":7}'}, False),
        (Wanted(metadata=(("new", "true"), ("gone", "null"))), {"metadata": '{"new":true,"gone":null}'}, True),
        (Wanted(metadata=(("new", "true"), ("gone", "null"))), {"metadata": '{"new":true}'}, False),
        (Wanted(metadata=(("order", "[7]"),)), {"metadata": '{"order":[7]}'}, False),
        (Wanted(metadata=(("a.b", "7"),)), {"metadata": '{"a":{"b":7},"a.b":7}'}, True),
        (Wanted(metadata=(("order", "7"),)), {"metadata": "[7]"}, False),
        (Wanted(metadata=(("order", "7"),)), {}, False),
        (Wanted(words=("strong", "claim")), {"title": "A claim so STRONG"}, True),
        (Wanted(words=("strong", "claim")), {"title": "A strong word"}, False),
        (Wanted(words=("strasse",)), {"title": "Große Straße"}, True),
        (Wanted(words=("a",)), {}, False),
    ],
)
def test_what_fits(wanted, fields, fits):
    assert wanted.fits(fields) is fits


def test_only_what_the_index_does_not_know_has_to_be_looked_up():
    assert not Wanted(state=None, since_ms=1, until_ms=2, ref="r" * 22).looks_inside
    for inside in (Wanted(function="f"), Wanted(account="a"), Wanted(metadata=(("k", "v"),)), Wanted(words=("w",))):
        assert inside.looks_inside


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("strong claim", Wanted(words=("strong", "claim"))),
        ("  Café  CAFE\N{COMBINING ACUTE ACCENT} ", Wanted(words=("caf\xe9", "caf\xe9"))),
        ("customer=7", Wanted(metadata=(("customer", "7"),))),
        (" customer = acme = 2 ", Wanted(metadata=(("customer", "acme = 2"),))),
        ("=7", Wanted(words=("=7",))),
        ("why=", Wanted(words=("why=",))),
    ],
)
def test_what_a_search_means(text, found):
    assert search(text) == found


def test_a_search_narrows_what_is_wanted_already():
    wanted = Wanted(state=JobState.PARKED, metadata=(("a", "1"),))
    assert search("b=2", wanted) == Wanted(state=JobState.PARKED, metadata=(("a", "1"), ("b", "2")))


@pytest.mark.parametrize("text", ["", "   ", "x" * 201])
def test_what_is_no_search(text):
    with pytest.raises(InvalidInput, match="a search is 1 to 200 characters"):
        search(text)


@given(st.text(max_size=200), st.text(max_size=40))
def test_any_text_is_a_search_and_meets_any_title(text, title):
    if text.strip():
        search(text).fits({"title": title, "metadata": title})
