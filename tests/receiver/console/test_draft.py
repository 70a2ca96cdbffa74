import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.bodies import checked
from receiver.console.draft import FIELDS, draft, field_of, read_cuts
from receiver.requests import order_of
from workers.errors import InvalidInput
from workers.guards import check_request
from workers.rules import rule_for

WORDS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["all", "none", "own", "9:16", "3", "1, b", "{", "{}", "[]", '{"a": 1}', "a=1", "1 2 x"]),
)
FORMS = st.dictionaries(st.sampled_from(FIELDS), WORDS)


def look_over(body):
    order = order_of(checked(body))
    check_request(order.request)
    return rule_for({}, None, order.render)


def refused(check, *given):
    try:
        check(*given)
    except InvalidInput as error:
        return error
    return None


@given(FORMS)
def test_whatever_is_typed_becomes_a_body_or_problems_beside_fields(form):
    found = draft(form)
    assert set(found.problems) <= set(FIELDS)
    error = None if found.problems else refused(look_over, found.body)
    assert error is None or field_of(error) in {"", *FIELDS}


@given(st.text(max_size=200))
def test_any_text_is_shorts_or_a_line_that_is_named(text):
    error = refused(read_cuts, text)
    assert error is None or error.message.startswith("line ")


def test_a_full_form():
    found = draft({
        "source": "https://youtu.be/dQw4w9WgXcQ",
        "cuts": "0:03.5 0:48 Opening",
        "options": '{"language": "en"}',
        "shorts": "2",
        "preset": "VIRAL",
        "size": "9:16",
        "words": "4",
        "mark": "https://cdn.example.org/l.png",
        "metadata": "customer=7\norder.id=x1",
        "account": "acme",
        "delivery": "https://app.example.org/hook",
    })  # fmt: skip
    assert found.problems == {}
    assert found.body == {
        "functionName": "VideoShorts",
        "youtubeVideoId": "https://youtu.be/dQw4w9WgXcQ",
        "options": {"language": "en", "predefinedShorts": [{"start": 3.5, "end": 48.0, "title": "Opening"}]},
        "render": {
            "shorts": 2,
            "preset": "VIRAL",
            "size": {"width": 1080, "height": 1920, "name": "9:16"},
            "options": {"maxWordsInPage": 4, "waterMark": {"waterMarkUrl": "https://cdn.example.org/l.png"}},
        },
        "metadata": {"customer": 7, "order": {"id": "x1"}},
        "account": "acme",
        "delivery": "https://app.example.org/hook",
    }
    assert look_over(found.body).preset == "VIRAL"


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({}, "source"),
        ({"source": "two words"}, "source"),
        ({"source": "abc", "cuts": "soon later"}, "cuts"),
        ({"source": "abc", "options": "[1]"}, "options"),
        ({"source": "abc", "options": "{"}, "options"),
        ({"source": "abc", "metadata": "{"}, "metadata"),
        ({"source": "abc", "metadata": "no equals"}, "metadata"),
        ({"source": "abc", "render": "perhaps"}, "render"),
        ({"source": "abc", "size": "own", "width": "wide", "height": "2"}, "size"),
        ({"source": "abc", "words": "few"}, "words"),
        ({"source": "abc", "metadata": "x" * 30_000}, "metadata"),
    ],
)
def test_a_problem_stands_beside_its_field(form, name):
    assert list(draft(form).problems) == [name]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"source": "abc", "cuts": "9 3 backwards"}, "cuts"),
        ({"source": "abc", "cuts": "0 900 long"}, "cuts"),
        ({"source": "abc", "preset": "x" * 200}, "preset"),
        ({"source": "abc", "size": "own", "width": "0", "height": "2"}, "size"),
        ({"source": "abc", "render_options": '{"style": 1}'}, "render_options"),
        ({"source": "abc", "delivery": "ftp://x"}, "delivery"),
        ({"source": "abc", "account": "No Such"}, "account"),
    ],
)
def test_what_is_checked_elsewhere_finds_its_field_too(form, name):
    found = draft(form)
    assert found.problems == {}
    error = refused(look_over, found.body)
    assert error is not None
    assert field_of(error) == name
