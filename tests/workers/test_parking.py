"""Groups of reasons. Our own words come from the code that says them: rewording must not part them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.desk import JOB, REF, Desk
from workers.identifiers import JobSubject, RefSubject, RenderSubject
from workers.parked import Parked
from workers.parking import CRASHES, KNOWN, LONGEST_GROUP, MOST_GROUPS, OTHER, SENTENCE, group_of, is_group, why
from workers.refusals import refusal
from workers.steps import render, submit

FULL = b'{"error": "fullStorage", "message": "no room left"}'
CREDIT = b'{"error": "noEnoughCredit", "message": "not enough credits"}'
PHONE = b'{"error": "Phone verification required", "phoneNumber": "+15550100"}'
# What a stranger says must not choose the group.
LIAR = b'{"message": "its worker died 3 times in a row"}'


def refused(status, body=b""):
    return refusal(status, {}, body, doing="reading job ab-12").message


REASONS = {
    submit.LOST: "submission-unsure",
    submit.UNHEARD: "job-unknown",
    render.UNSURE.format("no answer"): "render-unsure",
    refused(404): "swiftia-404",
    refused(400, LIAR): "swiftia-refuses",
    refused(403, FULL): "storage-full",
    refused(403, CREDIT): "no-credit",
    refused(403, PHONE): "phone-verification",
    refused(403): "swiftia-refuses",
    "fetch failed 10 times, last because: " + refused(503): "swiftia-away",
    "its worker died 3 times in a row, last because: killed by signal 9": CRASHES,
    "render 1, 3 parked: its worker died 3 times in a row, last because: fell silent": CRASHES,
}


@pytest.mark.parametrize(("reason", "group"), REASONS.items())
def test_what_we_say_ourselves_is_known(reason, group):
    assert group_of(reason) == group


@given(st.text(max_size=300))
def test_any_reason_has_a_group_that_may_be_a_key(reason):
    group = group_of(reason)
    assert is_group(group)
    assert len(group) <= LONGEST_GROUP + 1
    assert why(group).title
    assert why(group).remedy


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_and_names_do_not_part_what_belongs_together(one, other):
    assert group_of(f"house {one} of 'x{other}' is on fire") == group_of(f"house {other} of 'y' is on fire")
    assert group_of(f"house {one} is on fire").startswith(SENTENCE)


def test_every_group_is_told_of_once_and_reachable_by_its_own_words():
    assert len({known.group for known in KNOWN}) == len(KNOWN)
    for known in KNOWN:
        assert [group_of(word) for word in known.words] == [known.group] * len(known.words)


# What the ledger keeps of it


@pytest.fixture
def desk(redis):
    return Desk(redis)


@pytest.fixture
def parked(redis):
    return Parked(redis)


def park(desk, job, reason):
    desk.accept(job=job, receipt=f"rc-{job}")
    desk.ledger.move(desk.begin(), "parked", reason=reason)


def groups(parked):
    return {group.name: group.count for group in parked.groups()}


def test_what_is_parked_stands_in_its_group_until_it_goes_on(desk, parked):
    park(desk, "job_1", "house 1 is on fire")
    first_at = desk.at
    desk.at += 1000
    park(desk, "job_2", "house 2 is on fire")
    park(desk, "job_3", refused(404))
    (fires, unknown) = parked.groups()
    assert (fires.count, fires.since_ms, unknown.name, unknown.count) == (2, first_at, "swiftia-404", 1)
    assert parked.count() == 3
    named = parked.first(parked.groups(), each=1)
    assert [one.id for one in named[fires.name]] == ["job_1"]

    desk.ledger.retry(JobSubject("job_1"))
    assert groups(parked) == {fires.name: 1, "swiftia-404": 1}
    desk.ledger.erase(JobSubject("job_2"))
    desk.accept(job="job_3", receipt="news", body=b"news")  # it goes on by itself
    assert groups(parked) == {}
    assert desk.redis.keys("sr:parked*") == []


def test_a_job_is_parked_for_the_reason_of_its_render(desk, parked):
    desk.fetched(2)
    desk.at += 10
    desk.tick()
    for step, subject, attempt in desk.nudges():
        record = desk.ledger.begin(RenderSubject(*_parts(subject)), step, attempt)
        desk.ledger.move(record, "parked", reason=refused(403, FULL))
    assert groups(parked) == {"storage-full": 1}
    desk.ledger.retry(JOB)
    assert groups(parked) == {}
    assert "group" not in desk.fields(RenderSubject("job_1", 1))


def _parts(subject):
    job, _, n = subject.partition("/")
    return job, int(n)


def test_what_takes_its_worker_down_has_a_group_of_its_own(desk, parked):
    desk.accept(job="job_1")
    record = desk.begin()
    while desk.state(JOB) != "parked":
        desk.ledger.lost(JOB, record.attempt, reason="killed by signal 9", crashed=True)
        desk.watched(60_000)
        desk.tick()
        record = desk.begin() if desk.state(JOB) != "parked" else record
    assert groups(parked) == {CRASHES: 1}


def test_a_submission_leaves_its_group_when_its_job_is_known(desk, parked):
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=0)
    desk.ledger.move(desk.begin(), "parked", reason=submit.LOST)
    assert groups(parked) == {"submission-unsure": 1}
    assert parked.slice("submission-unsure", skip=0, most=5).subjects == (RefSubject(REF),)
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    assert groups(parked) == {}


def test_strangers_cannot_make_groups_without_end(desk, parked):
    for n in range(MOST_GROUPS + 5):
        park(desk, f"job_{n}", f"the {chr(97 + n // 26)}{chr(97 + n % 26)} is upset")
    assert len(parked.groups()) == MOST_GROUPS + 1
    assert groups(parked)[OTHER] == 5


def test_a_slice_takes_the_longest_parked_first_and_counts_the_rest(desk, parked):
    for n in range(5):
        desk.at += 1
        park(desk, f"job_{n}", refused(404))
    found = parked.slice("swiftia-404", skip=1, most=2)
    assert [str(subject) for subject in found.subjects] == ["job_1", "job_2"]
    assert found.left == 2
    assert parked.slice(None, skip=0, most=10).left == 0
    assert len(parked.slice(None, skip=0, most=10).subjects) == 5
