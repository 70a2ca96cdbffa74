from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.documents import parse_json
from workers.errors import InvalidInput, UnreadableAnswer
from workers.renders import (
    RenderPhase,
    RenderReport,
    is_render_failure,
    read_report,
    read_started,
    render_id,
    render_request,
)

SAMPLES = Path(__file__).parents[1] / "samples"
URL = "https://cdn.example.org/rnd_55/out.mp4"
NAMES = ["type", "status", "progress", "queuePosition", "url", "size", "message", "error", "code", "renderId"]
WORDS = ["queued", "progress", "done", "error", "failed", "RENDERING_ERROR", URL, "COMPLETED", "\ud800"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
DIALECTS = {
    "render_queued": RenderReport(RenderPhase.QUEUED, progress=0.0, queue_position=4, said="queued"),
    "render_running": RenderReport(RenderPhase.RUNNING, progress=0.62, said="progress"),
    "render_done": RenderReport(RenderPhase.DONE, url=URL, size=9211004, said="done"),
    "render_error_newest_docs": RenderReport(RenderPhase.FAILED, message="encoder stopped", said="error"),
    "render_error_without_type": RenderReport(RenderPhase.FAILED, message="encoder stopped", said="RENDERING_ERROR"),
    "render_error_as_status_500": RenderReport(RenderPhase.FAILED, message="encoder stopped", said="RENDERING_ERROR"),
    "render_failed_parameter_list": RenderReport(RenderPhase.FAILED, message="encoder stopped", said="failed"),
    "render_completed_third_party": RenderReport(RenderPhase.DONE, url=URL, said="COMPLETED"),
    "render_failed_third_party": RenderReport(RenderPhase.FAILED, said="FAILED"),
}


def sample(name):
    return parse_json((SAMPLES / name / "body").read_bytes(), what=name)


def report(status_code=200, **document):
    return read_report(document, status_code=status_code)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect(name):
    (head,) = (SAMPLES / name).glob("*.json")
    assert read_report(sample(name), status_code=int(head.stem)) == DIALECTS[name]


def test_no_sample_is_forgotten():
    assert {*DIALECTS, "render_started"} == {path.name for path in SAMPLES.glob("render_*")}


@pytest.mark.parametrize("status_code", [200, 400, 404, 500, 502, 503])
@pytest.mark.parametrize(
    "name", [name for name in DIALECTS if "error" in name or name == "render_failed_parameter_list"]
)
def test_a_failed_render_is_failed_whatever_the_status(name, status_code):
    assert is_render_failure(sample(name))
    assert read_report(sample(name), status_code=status_code).phase is RenderPhase.FAILED


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"status": 500, "message": "Please try again later.", "code": "INTERNAL_SERVER_ERROR"},
        {"status": 500, "message": "Please try again later."},
        {"error": "Unauthorized"},
        {"status": "error", "message": "no route"},
        {"type": "progress", "code": "RENDERING_ERROR"},
        {"id": "file_9", "deleted": False, "error": "storage did not answer"},
    ],
)
def test_other_errors_are_no_failed_renders(document):
    assert not is_render_failure(document)
    with pytest.raises(UnreadableAnswer):
        read_report(document, status_code=500)


def test_a_status_number_decides_in_a_success_only():
    assert report(status=500, message="encoder stopped").phase is RenderPhase.FAILED
    assert report(status=200).phase is RenderPhase.RUNNING
    with pytest.raises(UnreadableAnswer, match="another kind"):
        report(status=500, code="INTERNAL_SERVER_ERROR")


@pytest.mark.parametrize("document", [{}, {"type": "uploading"}, {"type": None}, {"type": 7}, {"status": "WAITING"}])
def test_what_is_unknown_is_waited_on(document):
    assert report(**document).phase is RenderPhase.RUNNING


@pytest.mark.parametrize("url", [None, "", "out.mp4", "/out.mp4", "file:///etc/passwd", "https://", "https://a b/", 7])
def test_done_needs_an_address(url):
    with pytest.raises(UnreadableAnswer, match="no http"):
        report(type="done", url=url)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.5, 0.5), ("0.5", 0.5), (7, 1.0), (-1, 0.0), (None, None), (True, None)]
)
def test_progress_counts_to_one(progress, expected):
    assert report(type="progress", progress=progress).progress == expected


def test_a_message_as_string_or_object():
    assert report(type="error", error="encoder stopped").message == "encoder stopped"
    assert report(type="error", error={"message": "encoder stopped"}).message == "encoder stopped"
    assert len(report(type="error", message="x" * 9999).message) == 500
    assert report(type="progress", message="on it").message is None


def test_words_in_any_case_and_nonsense_beside_them():
    found = report(type="Queued", queuePosition=-3, size="many")
    assert found == RenderReport(RenderPhase.QUEUED, said="Queued")


@settings(max_examples=300)
@given(VALUES, st.sampled_from([200, 404, 500]))
def test_any_value_is_a_report_or_ours(document, status_code):
    try:
        found = read_report(document, status_code=status_code)
    except UnreadableAnswer:
        return
    assert found.url is not None or found.phase is not RenderPhase.DONE
    (found.message or "").encode()
    (found.said or "").encode()


@pytest.mark.parametrize(
    ("document", "expected"),
    [({"renderId": "rnd_55"}, "rnd_55"), ({"renderId": 55}, "55"), ({"renderId": "5", "id": "job_7"}, "5")],
)
def test_a_start(document, expected):
    assert read_started(document) == expected
    assert render_id(read_started(document)) == expected


@pytest.mark.parametrize(
    "document",
    [None, {}, [], {"id": "rnd_55"}, *({"renderId": bad} for bad in ("", "a/b", "a" * 129, True, 1.5, [], 10**30))],
)
def test_a_start_without_an_id(document):
    with pytest.raises(UnreadableAnswer, match="no usable renderId"):
        read_started(document)


@settings(max_examples=100)
@given(VALUES)
def test_any_value_is_a_start_or_ours(document):
    with suppress(UnreadableAnswer):
        render_id(read_started(document))


def test_a_request_has_what_is_given_and_no_more():
    assert render_request("job_7", 1) == {"id": "job_7", "target": 1}
    size = {"width": 1080, "height": 1920, "name": "9:16"}
    full = render_request(
        "job_7", "sh_a1", preset="VIRAL", brand_preset_id="b", size=size, options={}, render_type="shortVideo"
    )
    assert full == {
        "id": "job_7",
        "target": "sh_a1",
        "type": "shortVideo",
        "preset": "VIRAL",
        "brandPresetId": "b",
        "size": size,
        "options": {},
    }


@pytest.mark.parametrize(("job", "target"), [("a/b", 1), ("", 1), ("job_7", ""), ("job_7", True), ("job_7", 1.0)])
def test_a_request_that_cannot_be(job, target):
    with pytest.raises(InvalidInput):
        render_request(job, target)


@pytest.mark.parametrize("value", ["", "a/b", "..", "a" * 129, "a\n", 7, None, "é"])
def test_render_ids_that_meet_no_url(value):
    with pytest.raises(InvalidInput):
        render_id(value)
