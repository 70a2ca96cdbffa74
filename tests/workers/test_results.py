import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.documents import parse_json
from workers.errors import UnreadableAnswer
from workers.identifiers import is_job_id
from workers.renders import render_request
from workers.results import MAX_SHORTS, Phase, Result, Short, read_created, read_result

SAMPLES = Path(__file__).parents[1] / "samples"
JOB = "job_7Qa1"
AT = "2025-02-03T08:09:10Z"
CROP = "https://cdn.example.org/c1.mp4"
NAMES = [
    *("id", "jobId", "status", "progress", "title", "cost", "createdAt", "error", "message", "data", "shorts"),
    *("content", "text", "start", "startTime", "end", "endTime", "reason", "cropFileUrl", "functionName"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([JOB, "COMPLETED", "FAILED", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


def sample(name):
    return parse_json((SAMPLES / name / "body").read_bytes(), what=name)


def completed(*shorts):
    return read_result({"id": JOB, "status": "COMPLETED", "data": {"shorts": list(shorts)}}, job_id=JOB)


DIALECTS = {
    "job_running_older_docs": Result(Phase.RUNNING, "PROCESSING", created_at=AT),
    "job_completed_older_docs": Result(
        Phase.COMPLETED,
        "COMPLETED",
        cost=0.37,
        created_at=AT,
        shorts=(
            Short(1, "A strong claim", "and that is why", 12.4, 44.0, "clear hook", CROP),
            Short(2, "A quiet end", "so long", 301.25, 333.5, "good closing", "https://cdn.example.org/c2.mp4"),
        ),
    ),
    "job_completed_predefined_shorts": Result(
        Phase.COMPLETED,
        "COMPLETED",
        cost=0.37,
        created_at=AT,
        shorts=(Short(1, "Opening", "welcome back", 3.5, 48.0, None, CROP),),
    ),
    "job_running_newer_docs": Result(Phase.RUNNING, "PROCESSING", progress=0.05, title="Episode 12"),
    "job_completed_newer_docs": Result(
        Phase.COMPLETED,
        "COMPLETED",
        progress=1.0,
        title="Episode 12",
        cost=0.58,
        shorts=(Short("sh_a1", "A strong claim", "and that is why", 12.4, 44.0),),
    ),
    "job_completed_knowledge_base": Result(
        Phase.COMPLETED, "COMPLETED", shorts=(Short("sh-1", "A strong claim", None, 12.4, 44.0),)
    ),
    "job_failed": Result(Phase.FAILED, "FAILED", created_at=AT, error="the video is private"),
    "job_with_null_status": Result(Phase.RUNNING),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect(name):
    assert read_result(sample(name), job_id=JOB) == DIALECTS[name]


def test_no_sample_is_forgotten():
    assert set(DIALECTS) == {path.name for path in SAMPLES.glob("job_*")}


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("created_*")))
def test_every_dialect_of_a_creation(name):
    assert read_created(sample(name)) == JOB


@pytest.mark.parametrize("document", [None, [], "job_7", {}, {"id": 7}, {"id": "a/b"}, {"data": {"id": "job_7"}}])
def test_a_creation_without_an_id(document):
    with pytest.raises(UnreadableAnswer, match="holds no job id"):
        read_created(document)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("COMPLETED", Phase.COMPLETED),
        ("completed", Phase.COMPLETED),
        (" Completed ", Phase.COMPLETED),
        ("FAILED", Phase.FAILED),
        ("error", Phase.FAILED),
        ("QUEUED", Phase.RUNNING),
        ("something new", Phase.RUNNING),
        (None, Phase.RUNNING),
        (200, Phase.RUNNING),
        (["COMPLETED"], Phase.RUNNING),
    ],
)
def test_phases(status, phase):
    assert read_result({"id": JOB, "status": status}, job_id=JOB).phase is phase


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0, 0.0), (30, 0.3), ("30", 0.3), (100, 1.0), (250, 1.0), (-5, 0.0), (None, None), ("x", None), (True, None)],
)
def test_progress_counts_to_a_hundred_upstream(progress, expected):
    assert read_result({"id": JOB, "progress": progress}, job_id=JOB).progress == expected


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "COMPLETED",
        {},
        {"message": "hello"},
        {"id": "another", "status": "COMPLETED"},
        {"jobId": "another", "status": "COMPLETED"},
        {"id": 7, "status": "COMPLETED"},
        {"id": JOB, "status": "COMPLETED", "data": {"shorts": {"1": {}}}},
        {"id": JOB, "status": "COMPLETED", "shorts": "none"},
    ],
)
def test_what_is_no_answer_about_this_job(document):
    with pytest.raises(UnreadableAnswer):
        read_result(document, job_id=JOB)


def test_an_id_under_either_name_is_enough():
    assert read_result({"id": 12, "jobId": JOB}, job_id=JOB).phase is Phase.RUNNING
    assert read_result({"status": "COMPLETED"}, job_id=JOB).phase is Phase.COMPLETED


def test_ids_keep_their_type_and_count_once():
    shorts = completed({"id": 1, "title": "first"}, {"id": "1"}, {"id": 1, "title": "again"}).shorts
    assert [(short.id, short.title) for short in shorts] == [(1, "first"), ("1", None)]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        {},
        *({"id": bad} for bad in (None, True, 1.0, "", " ", "a\nb", "a\ud800", "a" * 129, [], {}, 2**63)),
    ],
)
def test_a_short_without_a_usable_id_is_counted(entry):
    result = completed(entry, {"id": "good"})
    assert [short.id for short in result.shorts] == ["good"]
    assert result.skipped == 1


def test_texts_are_clipped_and_addresses_are_not():
    (short,) = completed({"id": 1, "title": "t" * 999, "text": "x" * 9999, "cropFileUrl": "h" * 5000}).shorts
    assert (len(short.title), len(short.text), short.crop_url) == (500, 5000, None)


def test_times_as_strings_and_nonsense():
    (short,) = completed({"id": 1, "startTime": "12.5", "endTime": {}}).shorts
    assert (short.start, short.end) == (12.5, None)


def test_the_number_of_shorts_is_bounded():
    assert len(completed(*({"id": n} for n in range(MAX_SHORTS))).shorts) == MAX_SHORTS
    with pytest.raises(UnreadableAnswer, match=f"lists {MAX_SHORTS + 1} shorts"):
        completed(*({"id": n} for n in range(MAX_SHORTS + 1)))


def test_shorts_wait_for_the_end_of_the_job():
    assert read_result({"id": JOB, "status": "PROCESSING", "shorts": [{"id": 1}]}, job_id=JOB).shorts == ()
    assert read_result({"id": JOB, "status": "PROCESSING", "shorts": {}}, job_id=JOB).shorts == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"error": "private"}, "private"),
        ({"error": {"message": "private"}}, "private"),
        ({"error": {"code": "PRIVATE"}}, "PRIVATE"),
        ({"message": "private"}, "private"),
        ({"error": 7}, None),
        ({}, None),
    ],
)
def test_errors_as_string_or_object(fields, expected):
    assert read_result({"id": JOB, "status": "FAILED", **fields}, job_id=JOB).error == expected


def test_a_message_of_a_job_under_way_is_no_error():
    assert read_result({"id": JOB, "status": "PROCESSING", "message": "on it"}, job_id=JOB).error is None


@settings(max_examples=300)
@given(VALUES)
def test_any_value_is_a_result_or_ours(document):
    try:
        result = read_result(document, job_id=JOB)
    except UnreadableAnswer:
        return
    for short in result.shorts:
        json.dumps(render_request(JOB, short.id), ensure_ascii=False).encode()
    assert result.progress is None or 0 <= result.progress <= 1


@settings(max_examples=100)
@given(VALUES)
def test_any_value_is_a_creation_or_ours(document):
    with suppress(UnreadableAnswer):
        assert is_job_id(read_created(document))


@settings(max_examples=100)
@given(st.integers(-(2**63) + 1, 2**63 - 1) | st.text("abc-_. é", min_size=1, max_size=20).filter(str.strip))
def test_the_id_we_read_is_the_target_we_send(short_id):
    raw = json.dumps({"id": JOB, "status": "COMPLETED", "data": {"shorts": [{"id": short_id}]}}).encode()
    (short,) = read_result(parse_json(raw, what="job"), job_id=JOB).shorts
    sent = parse_json(json.dumps(render_request(JOB, short.id)).encode(), what="render")
    assert sent == {"id": JOB, "target": short_id}
    assert type(sent["target"]) is type(short_id)
