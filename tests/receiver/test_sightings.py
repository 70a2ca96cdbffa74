from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.sightings import printable, read_job

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "ref", "state", "title", "progress", "reason", "renders", "short", "n", "size"]), inner
    ),
    max_leaves=15,
)  # fmt: skip


def test_a_job_is_read_with_its_renders():
    job = read_job({
        "id": "j1", "ref": "r", "state": "finished", "progress": 1.0, "title": "Tide", "reason": None,
        "renders": [
            {"n": 1, "short": {"id": 7, "title": "A"}, "state": "kept", "progress": 1, "size": 10, "sha256": "ab"},
            {"n": 2, "short": {"id": 8, "title": None}, "state": "failed", "progress": 0.4, "reason": "no"},
        ],
    })  # fmt: skip
    assert job.summary() == "j1 finished, 1 of 2 videos"
    assert job.finished
    assert job.settled
    assert (job.renders[0].size, job.renders[0].short) == (10, "A")
    assert (job.renders[1].reason, job.renders[1].size) == ("no", None)


def test_a_submission_without_an_id_goes_by_its_ref():
    job = read_job({"id": None, "ref": "abc", "state": "parked", "reason": "who knows", "renders": {"total": 0}})
    assert job.subject == "abc"
    assert job.summary() == "abc parked: who knows"
    assert job.settled
    assert not job.finished


@given(JSON)
@settings(max_examples=200)
def test_whatever_is_answered_can_be_shown(document):
    job = read_job(document)
    assert 0.0 <= job.progress <= 1.0
    assert job.summary().isprintable()


@given(st.text())
@settings(max_examples=100)
def test_nothing_printed_steers_the_terminal(text):
    assert printable(text).isprintable()
