import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidInput
from workers.paths import callback_path, job_folder, render_path, result_path

ODD = [
    "",
    ".",
    "..",
    "a/b",
    "../a",
    "a.b",
    "a b",
    "a\n",
    "\n",
    "é",
    "\ud800",
    "a\x00",
    "a%2e",
    "x" * 129,
    "C:",
    "~",
    None,
    7,
]


def test_the_paths():
    assert job_folder("j-1") == "jobs/j-1"
    assert result_path("j-1") == "jobs/j-1/result.json"
    assert callback_path("j-1", "r_2") == "jobs/j-1/callbacks/r_2"
    assert render_path("j-1", 3) == "jobs/j-1/renders/3.mp4"


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_an_odd_job_id_is_refused_everywhere(odd):
    for path in (job_folder, result_path, lambda one: callback_path(one, "r"), lambda one: render_path(one, 1)):
        with pytest.raises(InvalidInput):
            path(odd)


@pytest.mark.parametrize("odd", [*ODD, "x" * 65], ids=ascii)
def test_an_odd_receipt_is_refused(odd):
    with pytest.raises(InvalidInput):
        callback_path("j", odd)


@pytest.mark.parametrize("odd", [0, -1, 1_000_000, True, False, 1.0, "1", None])
def test_an_odd_render_number_is_refused(odd):
    with pytest.raises(InvalidInput):
        render_path("j", odd)


def test_a_number_too_long_to_print_is_refused():
    with pytest.raises(InvalidInput):
        render_path("j", 10**5000)


@given(st.text(), st.text(), st.integers())
@settings(max_examples=200)
def test_any_input_gives_a_tame_path_or_is_refused(job_id, receipt, n):
    for build in (lambda: callback_path(job_id, receipt), lambda: render_path(job_id, n), lambda: render_path("j", n)):
        try:
            parts = build().split("/")
        except InvalidInput:
            continue
        assert len(parts) == 4
        assert not {"", ".", ".."} & set(parts)
