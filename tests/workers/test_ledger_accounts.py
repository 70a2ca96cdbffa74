"""Jobs of several accounts in one ledger: lines apart, places that nobody keeps for ever, a past without accounts."""

import pytest
from redis import Redis
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from tests.workers.desk import JOB, REF, Desk
from workers.budget import Budget
from workers.errors import Conflict
from workers.exchanges import Answer
from workers.identifiers import JobSubject, RefSubject, RenderSubject
from workers.ledger import Ledger
from workers.limits import RateLimit
from workers.work import FILES, FINE_S, UPSTREAM


@pytest.fixture
def desk(redis: Redis) -> Desk:
    """Three workers, so each account that is answered has two places."""
    redis.sadd(WORKERS_BY_QUEUE_KEY % UPSTREAM, "w1", "w2", "w3")
    made = Desk(redis)
    for account in ("acme", "beta"):
        answered(made, account)
    made.ledger = Ledger(redis, now_ms=lambda: made.at, several=True)
    return made


def answered(desk: Desk, account: str) -> None:
    """Swiftia has just answered this account as it should."""
    budget = Budget(desk.redis, RateLimit(5, 1000), account=account, now_ms=lambda: desk.at)
    budget.observe(Answer("GET /api/jobs/{id}", 200, {}, 0.1))


def line(desk: Desk, subject: object) -> str:
    return desk.fields(subject)["class"]


def known(desk: Desk, account: str, count: int, first: int = 0) -> None:
    for n in range(first, first + count):
        desk.ledger.link("", f"{account}_{n}", first_ms=0, by="watch", account=account)


def busy(desk: Desk, account: str) -> dict[bytes, float]:
    return dict(desk.redis.zrange(f"sr:busy@{account}", 0, -1, withscores=True))


# Whose a job is


def test_a_job_stands_in_the_lines_of_its_account_until_only_files_are_left(desk: Desk) -> None:
    known(desk, "acme", 1)
    job = JobSubject("acme_0")
    assert line(desk, job) == "reconcile@acme"
    assert desk.passed().nudged == 0
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 1
    desk.ledger.plan(desk.begin(), [{"request": {}}], {"shorts": 1})
    render = RenderSubject("acme_0", 1)
    assert (line(desk, render), desk.fields(render)["account"]) == ("render@acme", "acme")
    desk.ledger.dispatch(UPSTREAM, "acme", most=9)
    record = desk.begin()
    assert record.account == "acme"
    desk.ledger.move(record, "starting", hold=True)
    desk.ledger.move(record, "queued", wait_s=0)
    desk.ledger.move(desk.begin(), "keeping", wait_s=1)
    assert line(desk, render) == "keep"
    desk.at += 1000
    assert desk.tick(FILES) == 1
    assert busy(desk, "acme") == {}


def test_a_submission_hands_its_account_to_its_job(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}, "account": "acme"}, due_ms=0)
    assert line(desk, RefSubject(REF)) == "submit@acme"
    assert desk.begin().account == "acme"
    desk.ledger.link(REF, str(JOB), first_ms=5000, by="submission")
    assert (line(desk, JOB), desk.fields(JOB)["account"]) == ("reconcile@acme", "acme")
    assert busy(desk, "acme") == {}


def test_what_comes_under_an_accounts_url_is_its_own_unless_it_is_known_better(desk: Desk) -> None:
    def call(account: str, body: bytes) -> str:
        accepted = desk.ledger.accept(
            ref="", job_id=str(JOB), receipt=body.decode(), digest=body.hex(), meta={}, body=body, account=account
        )
        assert accepted.outcome == "new"
        return accepted.ignored

    assert call("", b"a") == ""
    assert line(desk, JOB) == "fetch"
    assert call("acme", b"b") == ""
    assert (line(desk, JOB), desk.fields(JOB)["account"]) == ("fetch@acme", "acme")
    assert call("acme", b"c") == ""
    assert call("beta", b"d") == "beta"
    assert (line(desk, JOB), desk.fields(JOB)["account"]) == ("fetch@acme", "acme")
    assert desk.events().count("account.ignored") == 1
    assert busy(desk, "acme") == {b"job_1": 0.0}
    assert not desk.redis.exists("sr:busy")


@pytest.mark.parametrize(
    ("of_ref", "of_job", "asked"), [("a", "b", ""), ("a", "", "b"), ("", "a", "b"), ("a", "a", "b")]
)
def test_a_person_who_contradicts_is_told_and_nothing_changes(desk: Desk, of_ref: str, of_job: str, asked: str) -> None:
    fields = {"account": of_ref} if of_ref else {}
    desk.ledger.open_ref(REF, state="open", fields=fields, due_ms=None)
    if of_job:
        desk.ledger.link("", str(JOB), first_ms=0, by="watch", account=of_job)
    before = (desk.fields(RefSubject(REF)), desk.fields(JOB), desk.due_lines())
    with pytest.raises(Conflict, match=r"is the account [ab]'s already"):
        desk.ledger.link(REF, str(JOB), first_ms=0, by="watch", account=asked)
    assert (desk.fields(RefSubject(REF)), desk.fields(JOB), desk.due_lines()) == before


def test_a_ref_says_it_of_a_job_of_which_nobody_did_and_of_its_renders(desk: Desk) -> None:
    desk.fetched(renders=2)
    assert line(desk, RenderSubject(str(JOB), 1)) == "render"
    desk.ledger.open_ref(REF, state="open", fields={"account": "acme"}, due_ms=None)
    desk.ledger.link(REF, str(JOB), first_ms=0, by="watch")
    for n in (1, 2):
        assert line(desk, RenderSubject(str(JOB), n)) == "render@acme"
    assert desk.passed().next_ms is None
    desk.at += 1
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 2


def test_the_unnamed_one_is_for_new_jobs_of_which_nobody_says_it(desk: Desk) -> None:
    desk.ledger.link("", "job_1", first_ms=0, by="watch", unnamed="default")
    assert desk.fields(JOB)["account"] == "default"
    desk.accept(job="job_2")
    desk.ledger.link("", "job_2", first_ms=0, by="watch", unnamed="default")
    assert "account" not in desk.fields(JobSubject("job_2"))


def test_how_much_waits_is_told_for_each_account(desk: Desk) -> None:
    known(desk, "acme", 3)
    desk.accept(job="job_1")
    assert desk.ledger.unfinished() == {"": 1, "acme": 3}


# Places


def test_one_worker_is_left_to_the_others(desk: Desk) -> None:
    known(desk, "acme", 5)
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 2
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 0
    desk.accept(job="acme_4")  # nor does a callback take the last one
    assert len(desk.nudges()) == 2
    known(desk, "beta", 5)
    assert desk.ledger.dispatch(UPSTREAM, "beta", most=9).nudged == 2


def test_an_account_that_is_not_answered_well_has_one_place(desk: Desk) -> None:
    known(desk, "acme", 5)
    desk.at += round(FINE_S * 1000)
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 1
    desk.accept(job="acme_4")  # nor does a callback get it another
    assert len(desk.nudges()) == 1
    answered(desk, "beta")
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 0
    answered(desk, "acme")
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 1


@pytest.mark.parametrize(("status", "places"), [(200, 2), (404, 2), (401, 1), (429, 1), (500, 1), (None, 1)])
def test_which_answers_are_good_ones(desk: Desk, status: int | None, places: int) -> None:
    known(desk, "gamma", 5)
    budget = Budget(desk.redis, RateLimit(5, 1000), account="gamma", now_ms=lambda: desk.at)
    budget.observe(Answer("GET /api/jobs/{id}", status, {}, 0.1))
    assert desk.ledger.dispatch(UPSTREAM, "gamma", most=9).nudged == places


def test_there_is_always_one_place(desk: Desk) -> None:
    desk.redis.delete(WORKERS_BY_QUEUE_KEY % UPSTREAM)
    known(desk, "acme", 3)
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 1


def test_one_account_alone_has_all_the_workers(desk: Desk) -> None:
    known(desk, "acme", 9)
    assert Ledger(desk.redis, now_ms=lambda: desk.at).dispatch(UPSTREAM, "acme", most=9).nudged == 9


def test_the_dead_do_not_keep_their_places(desk: Desk) -> None:
    known(desk, "acme", 4)
    desk.ledger.dispatch(UPSTREAM, "acme", most=9)
    first, second = (desk.ledger.begin(JobSubject(subject), step, n) for step, subject, n in desk.nudges())
    assert first is not None
    assert second is not None
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 0
    desk.ledger.lost(first.subject, first.attempt, reason="signal 9", crashed=True)
    desk.ledger.erase(second.subject)
    assert busy(desk, "acme") == {}
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 2
    desk.nudges()  # and these are lost
    desk.at += 40_000
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=9).nudged == 2
    assert len(desk.nudges()) == 2


def test_nudges_that_nobody_began_are_told(desk: Desk) -> None:
    known(desk, "acme", 2)
    desk.ledger.dispatch(UPSTREAM, "acme", most=9)
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=0).queued == 2
    step, subject, attempt = desk.nudges()[0]
    desk.ledger.begin(JobSubject(subject), step, attempt)
    assert desk.ledger.dispatch(UPSTREAM, "acme", most=0).queued == 1


def test_how_many_of_its_account_wait_for_a_slot_is_told_on_demand(desk: Desk) -> None:
    known(desk, "acme", 5)
    known(desk, "beta", 3)
    desk.ledger.link("", "acme_later", first_ms=60_000, by="watch", account="acme")
    desk.ledger.dispatch(UPSTREAM, "acme", most=9)
    (_, first, attempt), (_, second, other) = desk.nudges()
    begun = desk.ledger.begin(JobSubject(first), "fetch", attempt)
    assert begun is not None
    assert desk.ledger.waiting(begun) == 4  # three in their line, and one whose nudge is on its way
    begun = desk.ledger.begin(JobSubject(second), "fetch", other)
    assert begun is not None
    assert desk.ledger.waiting(begun) == 3  # the first one has its slot by now, or soon


def test_whoever_waits_counts_whatever_his_class(desk: Desk) -> None:
    desk.fetched(renders=3)
    desk.at += 5
    desk.ledger.link("", "job_2", first_ms=0, by="watch")
    desk.tick(most=1)
    assert desk.ledger.waiting(desk.begin()) == 3


# What was there before there were accounts


def test_a_ledger_without_accounts_is_written_as_before(redis: Redis) -> None:
    desk = Desk(redis)
    desk.fetched(renders=1)
    assert line(desk, RenderSubject(str(JOB), 1)) == "render"
    assert "account" not in desk.fields(JOB)
    assert desk.ledger.unfinished() == {"": 1}
    assert redis.keys("*@*") == []


def test_attempts_of_an_older_version_get_their_places_with_their_next_word(desk: Desk) -> None:
    desk.accept(job=str(JOB))
    desk.redis.delete("sr:busy")  # as it was left behind
    record = desk.begin()
    assert desk.redis.zrange("sr:busy", 0, -1) == [b"job_1"]
    desk.ledger.move(record, "failed")
    assert not desk.redis.exists("sr:busy")
