import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from workers import keys
from workers.catalog import Catalog
from workers.errors import InvalidInput, LedgerUnavailable
from workers.filters import EVERYTHING, Wanted
from workers.identifiers import JobSubject, RefSubject, RenderSubject
from workers.ledger import Ledger
from workers.listing import MAX_PAGE
from workers.states import JobState

REF = "r" * 22


class Clock:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(redis: Redis, clock: Clock) -> Ledger:
    return Ledger(redis, now_ms=clock)


@pytest.fixture
def catalog(redis: Redis) -> Catalog:
    return Catalog(redis)


def accept(ledger: Ledger, *, job: str = "", ref: str = "", body: bytes = b"{}", receipt: str = "rc1") -> None:
    meta = {"from": "192.0.2.1", "size": len(body)}
    ledger.accept(ref=ref, job_id=job, receipt=receipt, digest=body.hex(), meta=meta, body=body)


def plan(ledger: Ledger, job: str, renders: int) -> None:
    record = ledger.claim(JobSubject(job), "fetch")
    assert record is not None
    shorts = [{"short": {"id": n, "title": f"Short {n}"}, "request": {}} for n in range(renders)]
    assert ledger.plan(record, shorts, {"shorts": renders, "progress": 1.0, "title": "A talk", "cost": 3})


def park(ledger: Ledger, job: str) -> None:
    record = ledger.claim(JobSubject(job), "fetch")
    assert record is not None
    assert ledger.move(record, "parked", reason="a test says so")


def names(catalog: Catalog, *, state: JobState | None = None, limit: int = 3) -> list[str | None]:
    """Walk through all pages."""
    found: list[str | None] = []
    cursor = None
    for _ in range(1000):
        page = catalog.jobs(Wanted(state=state), cursor, limit)
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            return found
    pytest.fail("the listing does not end")


def test_a_job_that_a_callback_made_known(catalog, ledger):
    accept(ledger, job="job_1")
    view = catalog.job("job_1")
    assert view.summary.id == "job_1"
    assert view.summary.state == "fetching"
    assert [callback.receipt for callback in view.callbacks] == ["rc1"]
    assert [event["event"] for event in view.timeline] == ["known", "callback"]
    assert not view.has_result


def test_what_is_unknown_is_none(catalog):
    assert catalog.job("job_1") is None
    assert catalog.ref(REF) is None
    assert catalog.find("job_1") is None
    assert catalog.find("no such/name") is None


def test_a_job_with_renders(catalog, ledger):
    accept(ledger, job="job_1")
    plan(ledger, "job_1", 2)
    view = catalog.job("job_1")
    assert view.has_result
    assert [render.short for render in view.renders] == [{"id": 0, "title": "Short 0"}, {"id": 1, "title": "Short 1"}]
    assert view.summary.renders.total == 2
    assert view.summary.progress == 0.4
    assert view.summary.cost == 3


def test_a_ref_leads_to_its_job_as_soon_as_it_has_one(catalog, ledger):
    ledger.open_ref(REF, state="open", fields={"metadata": {"order": 7}}, due_ms=None)
    before = catalog.find(REF)
    assert (before.summary.id, before.summary.ref, before.summary.state) == (None, REF, "waiting")
    assert before.subject == RefSubject(REF)
    assert before.summary.metadata == {"order": 7}
    ledger.link(REF, "job_1", first_ms=1000, by="test")
    after = catalog.find(f"ref:{REF}")
    assert after.subject == JobSubject("job_1")
    assert after.summary.ref == REF
    assert after.summary.metadata == {"order": 7}


def test_a_submission_without_an_id_is_listed_with_id_null(catalog, ledger):
    ledger.open_ref(REF, state="queued", fields={"request": {"functionName": "VideoShorts"}}, due_ms=1000)
    page = catalog.jobs(Wanted(state=JobState.WAITING), None, 10)
    assert [(item.id, item.ref, item.state) for item in page.items] == [(None, REF, "waiting")]


def test_listing_is_newest_first_and_knows_states(catalog, ledger, clock):
    for n in range(5):
        clock.ms += 1
        accept(ledger, job=f"job_{n}")
    park(ledger, "job_2")
    assert names(catalog) == ["job_4", "job_3", "job_2", "job_1", "job_0"]
    assert names(catalog, state=JobState.PARKED) == ["job_2"]
    assert names(catalog, state=JobState.FETCHING) == ["job_4", "job_3", "job_1", "job_0"]
    assert catalog.counts() == {
        "waiting": 0,
        "fetching": 4,
        "rendering": 0,
        "finished": 0,
        "failed": 0,
        "parked": 1,
    }
    assert catalog.subjects(JobState.PARKED) == [JobSubject("job_2")]


def test_a_listing_counts_the_renders_of_each_job(catalog, ledger, clock):
    for n in range(3):
        clock.ms += 1
        accept(ledger, job=f"job_{n}")
        plan(ledger, f"job_{n}", n)
    page = catalog.jobs(EVERYTHING, None, 10)
    assert [(item.id, item.renders.total, item.state) for item in page.items] == [
        ("job_2", 2, "rendering"),
        ("job_1", 1, "rendering"),
        ("job_0", 0, "finished"),
    ]


def test_jobs_of_one_millisecond_are_all_listed_once(catalog, ledger):
    wanted = [f"job_{n:02}" for n in range(23)]
    for name in wanted:
        accept(ledger, job=name)
    assert sorted(names(catalog, limit=4)) == wanted


def test_an_insertion_between_two_pages_shifts_nothing(catalog, ledger, clock):
    for n in range(6):
        clock.ms += 1
        accept(ledger, job=f"job_{n}")
    first = catalog.jobs(EVERYTHING, None, 3)
    clock.ms += 1
    accept(ledger, job="job_new")
    second = catalog.jobs(EVERYTHING, first.next, 3)
    assert [item.id for item in (*first.items, *second.items)] == [f"job_{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert second.next is None


def test_the_cursor_survives_that_its_job_is_erased(catalog, ledger, clock):
    for n in range(4):
        clock.ms += 1
        accept(ledger, job=f"job_{n}")
    first = catalog.jobs(EVERYTHING, None, 2)
    ledger.erase(JobSubject("job_2"))
    assert [item.id for item in catalog.jobs(EVERYTHING, first.next, 2).items] == ["job_1", "job_0"]


def test_a_page_as_long_as_the_list_has_no_next(catalog, ledger):
    accept(ledger, job="job_1")
    assert catalog.jobs(EVERYTHING, None, 1).next is None


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1])
def test_limits_are_held(catalog, limit):
    with pytest.raises(InvalidInput, match="limit is 1 to 100"):
        catalog.jobs(EVERYTHING, None, limit)


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "äöü", base64.urlsafe_b64encode(b"now:job").decode(), "A" * 5000])
def test_a_malformed_cursor_is_invalid_input(catalog, cursor):
    with pytest.raises(InvalidInput, match="no cursor"):
        catalog.jobs(EVERYTHING, cursor, 10)


@given(cursor=st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_is_a_cursor_or_invalid_input(valkey_server, cursor):
    with Redis.from_url(valkey_server.url) as client:
        try:
            Catalog(client).jobs(EVERYTHING, cursor, 1)
        except InvalidInput:
            return


def test_callback_bodies_are_found_until_they_are_archived(catalog, ledger):
    accept(ledger, job="job_1", body=b"\x00\xff")
    owner = JobSubject("job_1")
    assert catalog.callback_body(owner, "rc1") == b"\x00\xff"
    ledger.drop_bodies(owner, ["rc1"])
    assert catalog.callback_body(owner, "rc1") is None


def test_what_was_erased_is_remembered(catalog, ledger):
    accept(ledger, job="job_1")
    assert not catalog.is_erased("job_1")
    ledger.erase(JobSubject("job_1"))
    assert catalog.is_erased("job_1")
    assert catalog.find("job_1") is None


def test_a_record_that_is_gone_is_left_out(catalog, ledger, redis):
    accept(ledger, job="job_1")
    plan(ledger, "job_1", 2)
    redis.delete(keys.record(RenderSubject("job_1", 1)))
    assert [render.n for render in catalog.job("job_1").renders] == [2]
    redis.delete(keys.record(JobSubject("job_1")))
    assert catalog.jobs(EVERYTHING, None, 10).items == ()


def test_bytes_that_are_no_text_do_not_break_the_view(catalog, ledger, redis):
    accept(ledger, job="job_1")
    redis.hset(keys.record(JobSubject("job_1")), "title", b"\xff\xfe")
    assert catalog.job("job_1").summary.title == "\ufffd\ufffd"


def test_without_redis_every_question_is_a_ledger_error():
    catalog = Catalog(Redis(port=1, retry=None))
    questions = [
        lambda: catalog.find("job_1"),
        lambda: catalog.jobs(EVERYTHING, None, 1),
        catalog.counts,
        lambda: catalog.subjects(JobState.PARKED),
        lambda: catalog.callback_body(JobSubject("job_1"), "rc1"),
        lambda: catalog.is_erased("job_1"),
    ]
    for question in questions:
        with pytest.raises(LedgerUnavailable):
            question()
