import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.identifiers import is_job_id
from workers.payloads import Hint, read_hint

SAMPLES = Path(__file__).parents[1] / "samples"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("job_7"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "jobId", "job_id", "job", "data", "payload", "status"]), inner)
    ),
    max_leaves=10,
)


def hint(document):
    return read_hint(json.dumps(document).encode())


@pytest.mark.parametrize(
    "document",
    [
        {"id": "job_7"},
        {"jobId": "job_7"},
        {"job_id": "job_7"},
        {"job": {"id": "job_7"}},
        {"data": {"jobId": "job_7"}},
        {"payload": {"job_id": "job_7"}},
        {"id": None, "jobId": "job_7"},
        {"id": 12, "data": {"id": "job_7"}},
        {"id": "no/id", "job": {"id": "job_7"}},
        # An envelope has an id of its own.
        {"id": "evt_1", "type": "job.completed", "data": {"jobId": "job_7", "status": "COMPLETED"}},
        {"id": "job_7", "data": {"shorts": [{"id": "short"}]}},
    ],
)
def test_where_a_job_id_is_found(document):
    assert hint(document).job_id == "job_7"


@pytest.mark.parametrize(
    "document",
    [
        {"data": {"shorts": [{"id": "short"}]}},
        {"shorts": [{"id": "short"}]},
        [{"id": "job_7"}],
        {"data": [{"id": "job_7"}]},
        {"job": "job_7"},
        {"data": {"job": {"id": "job_7"}}},
        {"id": 7},
        {"id": True},
        {"id": ""},
        {"id": "../etc"},
        {"id": "a" * 129},
        {"id": "job_7\n"},
        "job_7",
        7,
        None,
        {},
    ],
)
def test_where_none_is(document):
    assert hint(document) == Hint(None, None, readable=True)


@pytest.mark.parametrize("body", [b"", b"jobId=job_7", b"\xff\xfe", b"[" * 50_000, b"NaN"])
def test_a_body_that_is_no_json_says_nothing(body):
    assert read_hint(body) == Hint(None, None, readable=False)


def test_status_is_the_senders_word():
    assert hint({"status": "COMPLETED"}).status == "COMPLETED"
    assert hint({"job": {"status": "FAILED"}}).status == "FAILED"
    assert hint({"status": 200}).status is None
    assert len(hint({"status": "x" * 999}).status) == 64


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("job_*")), ids=lambda sample: sample.name)
def test_every_dialect_of_the_job_as_a_callback(sample):
    found = read_hint((sample / "body").read_bytes())
    assert (found.job_id, found.readable) == ("job_7Qa1", True)


@settings(max_examples=200)
@given(st.binary(max_size=100) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(b'{"id": "\\ud800", "status": "\\ud800"}')
def test_never_raises_and_never_gives_a_bad_id(body):
    found = read_hint(body)
    assert found.job_id is None or is_job_id(found.job_id)
    (found.status or "").encode()
