import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers import summaries, views
from workers.errors import InvalidInput
from workers.progress import RenderCounts, job_progress, render_progress
from workers.results import Short
from workers.states import JobState, RefState, RenderState, as_state

FIELDS = {
    "state": "rendering",
    "created": "1732239323004",
    "updated": "1732239323999",
    "ref": "r" * 22,
    "function": "VideoShorts",
    "title": "A talk",
    "cost": "12.5",
    "upstream_status": "completed",
    "progress": "1.0",
    "metadata": '{"order":7}',
    "renders": "2",
}
RENDERS = [
    {"state": "kept", "short": '{"id":1,"title":"One"}', "size": "12", "sha256": "ab", "render_id": "rd_1"},
    {"state": "rendering", "short": '{"id":"s2","title":null}', "progress": "0.5"},
]


def whole_job() -> dict[str, object]:
    summary = summaries.summary_of_job("job_1", FIELDS, RENDERS)
    view = views.job_view(
        summary,
        FIELDS,
        renders=[views.render_view("job_1", n, fields) for n, fields in enumerate(RENDERS, start=1)],
        callbacks=['{"receipt":"rc1","at":1732239323004,"from":"192.0.2.1","size":3,"duplicate":false,"type":"x"}'],
        timeline=['{"at":1732239323004,"event":"known","by":"callback"}'],
    )
    return view.as_json([Short(id=1, title="One", start=0.5, end=9.0)])


def test_a_job_has_the_shape_that_is_promised():
    assert whole_job() == {
        "id": "job_1",
        "ref": "r" * 22,
        "state": "rendering",
        "reason": None,
        "function": "VideoShorts",
        "title": "A talk",
        "cost": 12.5,
        "progress": 0.835,
        "upstream_status": "completed",
        "created_at": "2024-11-22T01:35:23.004Z",
        "updated_at": "2024-11-22T01:35:23.999Z",
        "metadata": {"order": 7},
        "shorts": [{"id": 1, "title": "One", "text": None, "start": 0.5, "end": 9.0}],
        "renders": [
            {
                "n": 1,
                "short": {"id": 1, "title": "One"},
                "state": "kept",
                "progress": 1.0,
                "render_id": "rd_1",
                "size": 12,
                "sha256": "ab",
                "file": "/api/jobs/job_1/renders/1/file",
                "reason": None,
                "url": None,
            },
            {
                "n": 2,
                "short": {"id": "s2", "title": None},
                "state": "rendering",
                "progress": 0.45,
                "render_id": None,
                "size": None,
                "sha256": None,
                "file": None,
                "reason": None,
                "url": None,
            },
        ],
        "render_counts": {"total": 2, "kept": 1, "failed": 0, "parked": 0},
        "callbacks": [
            {"receipt": "rc1", "at": "2024-11-22T01:35:23.004Z", "from": "192.0.2.1", "size": 3, "duplicate": False}
        ],
        "deliveries": [],
        "timeline": [{"at": "2024-11-22T01:35:23.004Z", "event": "known", "by": "callback"}],
    }


def test_it_can_be_written_as_json():
    assert json.loads(json.dumps(whole_job())) == whole_job()


def test_a_summary_counts_renders():
    summary = summaries.summary_of_job("job_1", FIELDS, RENDERS).as_json()
    assert summary["renders"] == {"total": 2, "kept": 1, "failed": 0, "parked": 0}


@pytest.mark.parametrize(
    ("state", "shown"),
    [("open", "waiting"), ("queued", "waiting"), ("submitting", "waiting"), ("failed", "failed"), ("parked", "parked")],
)
def test_a_submission_without_a_job_id_looks_like_a_job(state, shown):
    summary = summaries.summary_of_ref("r" * 22, {"state": state, "created": "1", "reason": "so"})
    assert (summary.id, summary.ref, summary.state, summary.reason) == (None, "r" * 22, shown, "so")
    assert RefState(state)


def test_what_is_done_without_a_file_counts_as_kept():
    assert RenderCounts.of(["done", "kept", "failed", "parked", "queued"]) == RenderCounts(5, 2, 1, 1)


def test_a_finished_job_is_whole_and_a_fresh_one_is_at_the_start():
    assert job_progress("finished", upstream=0.0, renders=[], planned=True) == 1.0
    assert job_progress("waiting", upstream=0.0, renders=[], planned=False) == 0.0
    assert job_progress("fetching", upstream=0.5, renders=[], planned=False) == 0.2
    assert job_progress("rendering", upstream=1.0, renders=[0.0, 0.0], planned=True) == 0.4


@given(
    state=st.sampled_from(list(JobState)),
    upstream=st.floats(0, 1),
    renders=st.lists(st.floats(0, 1), max_size=5),
    planned=st.booleans(),
)
@settings(max_examples=200)
def test_progress_stays_between_nought_and_one(state, upstream, renders, planned):
    assert 0.0 <= job_progress(state, upstream=upstream, renders=renders, planned=planned) <= 1.0


@given(said=st.floats(0, 1))
@settings(max_examples=50)
def test_a_render_only_comes_forward(said):
    order = [RenderState.PLANNED, RenderState.QUEUED, RenderState.RENDERING, RenderState.KEEPING, RenderState.KEPT]
    steps = [render_progress(state, said) for state in order]
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


@given(st.dictionaries(st.sampled_from(["created", "updated", "cost", "progress", "reason"]), st.text(max_size=20)))
@settings(max_examples=200)
def test_strange_fields_do_no_harm(fields):
    summary = summaries.summary_of_job("job_1", {**fields, "state": "waiting"}, [])
    assert 0.0 <= summary.progress <= 1.0
    json.dumps(summary.as_json(), allow_nan=False)


def test_an_unknown_state_names_the_known_ones():
    with pytest.raises(InvalidInput, match="waiting, fetching, rendering, finished, failed, parked"):
        as_state("done")
