"""The ledger on real Valkey, with a clock of our own: what each script promises, and the invariants after it."""

import json

import pytest
from redis import Redis

from tests.workers.desk import JOB, LEASE_MS, REF, Desk
from workers import keys
from workers.errors import Conflict, LedgerUnavailable
from workers.identifiers import JobSubject, RefSubject, RenderSubject, parse_subject
from workers.ledger import Ledger
from workers.work import (
    CALLBACKS_CAP,
    CRASH_PAUSE_S,
    DEADLY_CRASHES,
    FILES,
    QUEUE_CAP,
    TIMELINE_CAP,
)


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


# Callbacks


def test_a_callback_makes_its_job_known_due_and_nudged(desk: Desk) -> None:
    answer = desk.accept(job="job_1", body=b"hello")
    assert (answer.outcome, answer.owner) == ("new", "job_1")
    assert desk.state(JOB) == "fetching"
    assert desk.due() == {"job_1": ("fetch", desk.at + LEASE_MS)}
    assert desk.nudges() == [("fetch", "job_1", 1)]
    assert desk.ledger.take_bodies(JOB) == {answer.receipt: b"hello"}


def test_the_same_callback_twice_is_one_and_has_the_first_receipt(desk: Desk) -> None:
    first = desk.accept(job="job_1", receipt="rc-a")
    second = desk.accept(job="job_1", receipt="rc-b")
    assert (second.outcome, second.receipt) == ("duplicate", first.receipt)
    assert len(desk.nudges()) == 1
    assert [entry["duplicate"] for entry in desk.ledger.callbacks(JOB)] == [False, True]
    assert len(desk.ledger.take_bodies(JOB)) == 1


def everything(desk: Desk) -> dict[bytes, object]:
    return {key: desk.redis.dump(key) for key in desk.redis.keys("*") if key != b"sr:probe"}


@pytest.mark.parametrize("owner", [{"job": "job_1"}, {"ref": REF}, {"ref": REF, "job": "job_1"}])
def test_the_same_receipt_again_is_the_same_callback(desk: Desk, owner: dict[str, str]) -> None:
    first = desk.accept(**owner, receipt="rc-a")
    before = everything(desk)
    desk.at += 1000
    assert desk.accept(**owner, receipt="rc-a") == first
    assert everything(desk) == before


def test_the_same_receipt_again_changes_nothing_after_all_is_done(desk: Desk) -> None:
    first = desk.accept(job="job_1", receipt="rc-a")
    desk.ledger.plan(desk.begin(), [], {"shorts": 0})
    desk.ledger.drop_bodies(JOB, ["rc-a"])
    assert desk.accept(job="job_1", receipt="rc-a") == first
    assert desk.ledger.take_bodies(JOB) == {}
    assert desk.ledger.unarchived(10) == []
    assert (desk.state(JOB), desk.nudges(), desk.due()) == ("finished", [], {})


def test_the_same_receipt_of_a_repeated_callback_is_listed_once(desk: Desk) -> None:
    desk.accept(job="job_1", receipt="rc-a")
    second = desk.accept(job="job_1", receipt="rc-b")
    third = desk.accept(job="job_1", receipt="rc-c")
    assert desk.accept(job="job_1", receipt="rc-b") == second == third
    assert [entry.get("given") for entry in desk.ledger.callbacks(JOB)] == [None, "rc-b", "rc-c"]


def test_the_same_receipt_of_one_too_many_is_listed_once(desk: Desk) -> None:
    for n in range(CALLBACKS_CAP):
        desk.accept(job="job_1", receipt=f"rc-{n}", body=b"%d" % n)
    over = desk.accept(job="job_1", receipt="rc-x", body=b"x")
    assert desk.accept(job="job_1", receipt="rc-x", body=b"x") == over
    assert over.outcome == "full"
    assert [entry["receipt"] for entry in desk.ledger.callbacks(JOB)].count("rc-x") == 1


def test_what_names_no_job_is_kept_once(desk: Desk) -> None:
    for receipt in ("rc-a", "rc-b", "rc-a"):
        desk.ledger.keep_unidentified({"receipt": receipt}, b"body")
    assert desk.redis.llen(keys.UNIDENTIFIED) == 2


def test_a_check_writes(desk: Desk) -> None:
    desk.ledger.check()
    desk.redis.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(LedgerUnavailable):
            desk.ledger.check()
    finally:
        desk.redis.replicaof("NO", "ONE")


def test_any_bytes_are_kept_as_they_came(desk: Desk) -> None:
    body = bytes(range(256))
    answer = desk.accept(job="job_1", body=body)
    assert desk.ledger.take_bodies(JOB) == {answer.receipt: body}


def test_a_callback_during_its_fetch_brings_one_more_look(desk: Desk) -> None:
    desk.accept(job="job_1", body=b"early")
    record = desk.begin()
    desk.accept(job="job_1", body=b"late")
    assert desk.nudges() == []
    assert desk.ledger.move(record, wait_s=300)
    assert desk.nudges() == [("fetch", "job_1", 2)]


def test_a_duplicate_does_not_wait_for_the_next_look(desk: Desk) -> None:
    desk.accept(job="job_1", body=b"")
    desk.ledger.move(desk.begin(), wait_s=300)
    assert desk.accept(job="job_1", body=b"", receipt="rc-b").outcome == "duplicate"
    assert desk.nudges() == [("fetch", "job_1", 2)]


def test_callbacks_that_come_before_the_job_is_known_find_it(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}, "metadata": {"a": 1}}, due_ms=LEASE_MS)
    answer = desk.accept(ref=REF, body=b"early")
    assert (answer.outcome, answer.owner) == ("new", f"ref:{REF}")
    assert desk.nudges() == []
    assert desk.ledger.link(REF, "job_1", first_ms=600_000, by="submission") == "new"
    assert desk.state(JOB) == "fetching"
    assert desk.nudges() == [("fetch", "job_1", 1)]
    assert desk.ledger.take_bodies(JOB) == {answer.receipt: b"early"}
    assert desk.fields(JOB)["metadata"] == '{"a":1}'
    assert desk.accept(ref=REF, body=b"early", receipt="rc-b").outcome == "duplicate"
    assert f"ref:{REF}" not in desk.due()
    assert desk.redis.keys("sr:*:ref:*") == []


def test_a_handed_out_url_learns_its_job_from_the_callback(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="open", fields={"metadata": {"a": 1}}, due_ms=None)
    assert desk.accept(ref=REF, job="job_1").owner == "job_1"
    assert desk.nudges() == [("fetch", "job_1", 1)]
    assert desk.fields(JOB)["metadata"] == '{"a":1}'
    assert desk.accept(ref=REF, job="job_2", body=b"other").owner == "job_1"


def test_a_callback_without_any_id_is_looked_after(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="open", fields={}, due_ms=None)
    assert desk.accept(ref=REF).owner == f"ref:{REF}"
    ((subject, (name, _)),) = desk.due().items()
    assert (subject, name) == (f"ref:{REF}", "submit")


def test_a_submission_that_nobody_calls_about_is_looked_at_later(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={}, due_ms=LEASE_MS)
    desk.ledger.link(REF, "job_1", first_ms=600_000, by="submission")
    assert desk.state(JOB) == "waiting"
    assert desk.due() == {"job_1": ("reconcile", desk.at + 600_000)}
    desk.at += 600_001
    assert desk.tick() == 1
    assert desk.nudges() == [("fetch", "job_1", 1)]


def test_a_ref_belongs_to_one_job(desk: Desk) -> None:
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    with pytest.raises(Conflict, match="job_1"):
        desk.ledger.link(REF, "job_2", first_ms=0, by="watch")
    assert not desk.ledger.exists(JobSubject("job_2"))


def test_a_callback_for_a_settled_job_is_kept_without_a_fetch(desk: Desk) -> None:
    desk.fetched(0)
    assert desk.state(JOB) == "finished"
    desk.accept(job="job_1", body=b"late")
    assert desk.nudges() == []
    assert desk.due() == {}
    assert desk.ledger.unarchived(10) == [JOB]


def test_a_new_callback_for_a_failed_job_asks_again_but_a_repeated_one_does_not(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.move(desk.begin(), "failed")
    desk.accept(job="job_1")
    assert desk.nudges() == []
    desk.accept(job="job_1", body=b"news")
    assert desk.nudges() == [("fetch", "job_1", 2)]


def test_no_more_callbacks_are_kept_than_the_cap(desk: Desk) -> None:
    for n in range(CALLBACKS_CAP + 3):
        answer = desk.accept(job="job_1", body=b"%d" % n, receipt=f"rc{n}")
    assert answer.outcome == "full"
    assert len(desk.ledger.take_bodies(JOB)) == CALLBACKS_CAP
    assert len(desk.ledger.callbacks(JOB)) == CALLBACKS_CAP


def test_a_full_queue_leaves_the_job_due_for_the_clock(desk: Desk) -> None:
    for n in range(QUEUE_CAP + 5):
        desk.accept(job=f"job_{n}")
    assert len(desk.nudges()) == QUEUE_CAP
    assert desk.tick() == 5


# Attempts


def test_an_attempt_is_claimed_once(desk: Desk) -> None:
    desk.accept(job="job_1")
    ((step, subject, attempt),) = desk.nudges()
    assert desk.ledger.begin(parse_subject(subject), step, attempt) is not None
    assert desk.ledger.begin(parse_subject(subject), step, attempt) is None


def test_a_nudge_that_was_doubled_is_not_claimed_after_its_end(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    assert desk.ledger.move(record, wait_s=60)
    assert desk.ledger.begin(JOB, "fetch", record.attempt) is None
    desk.at += 60_001
    assert desk.tick() == 1
    assert desk.begin().attempt == record.attempt + 1


def test_a_late_run_changes_nothing(desk: Desk) -> None:
    desk.accept(job="job_1")
    old = desk.begin()
    desk.lapse()
    assert desk.tick() == 1
    new = desk.begin()
    before = desk.fields(JOB)
    assert not desk.ledger.move(old, "failed", reason="late")
    assert not desk.ledger.plan(old, [{}], {})
    assert not desk.ledger.renew(JOB, old.attempt)
    assert not desk.ledger.lost(JOB, old.attempt, reason="late", crashed=True)
    assert desk.fields(JOB) == before
    assert desk.ledger.move(new, "failed")


def test_a_renewed_lease_keeps_the_clock_away(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    for _ in range(5):
        desk.watched(LEASE_MS - 1)
        assert desk.ledger.renew(JOB, record.attempt)
        assert desk.tick() == 0


def test_a_nudge_that_waits_in_its_queue_is_not_doubled(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.at += LEASE_MS + 1
    assert desk.tick() == 0
    assert len(desk.nudges()) == 1


def test_a_lost_nudge_comes_back_and_is_no_crash(desk: Desk) -> None:
    desk.accept(job="job_1")
    for _ in range(DEADLY_CRASHES + 2):
        desk.nudges()
        desk.at += LEASE_MS + 1
        assert desk.tick() == 1
    assert desk.state(JOB) == "fetching"


def test_what_takes_its_worker_down_again_and_again_is_parked(desk: Desk) -> None:
    desk.accept(job="job_1")
    for _ in range(DEADLY_CRASHES - 1):
        desk.begin()
        desk.lapse()
        assert desk.tick() == 1
    desk.begin()
    desk.lapse()
    assert desk.tick() == 0
    assert desk.state(JOB) == "parked"
    assert desk.fields(JOB)["reason"] == "its worker died 3 times in a row, last because: fell silent"
    assert desk.due() == {}
    assert desk.events() == ["known", "callback", "silent", "silent", "silent", "parked"]


# Attempts whose worker noticed their end


def test_a_crash_that_was_noticed_is_tried_again_after_a_pause(desk: Desk) -> None:
    desk.accept(job="job_1")
    for crashes in (1, 2):
        record = desk.begin()
        assert desk.ledger.lost(JOB, record.attempt, reason="killed by signal 9", crashed=True)
        assert desk.nudges() == []
        assert desk.due() == {"job_1": ("fetch", desk.at + crashes * round(CRASH_PAUSE_S * 1000))}
        desk.watched(crashes * round(CRASH_PAUSE_S * 1000) - 1)
        assert desk.tick() == 0
        desk.watched(1)
        assert desk.tick() == 1
    told = json.loads(desk.redis.lrange(keys.timeline(JOB), -1, -1)[0])
    assert (told["event"], told["attempt"], told["crashes"], told["reason"]) == ("crashed", 2, 2, "killed by signal 9")


def test_what_crashes_again_and_again_is_parked_with_the_last_reason(desk: Desk) -> None:
    desk.accept(job="job_1")
    for n in range(DEADLY_CRASHES):
        assert desk.ledger.lost(JOB, desk.begin().attempt, reason=f"signal {n}", crashed=True)
        desk.at += 2 * round(CRASH_PAUSE_S * 1000)
        desk.tick()
    assert desk.state(JOB) == "parked"
    assert desk.fields(JOB)["reason"] == "its worker died 3 times in a row, last because: signal 2"
    assert (desk.due(), desk.nudges()) == ({}, [])
    assert desk.events()[-2:] == ["crashed", "parked"]


def test_noticed_and_silent_crashes_count_together(desk: Desk) -> None:
    desk.accept(job="job_1")
    for crashed in (True, False, True):
        record = desk.begin()
        if crashed:
            desk.ledger.lost(JOB, record.attempt, reason="signal 9", crashed=True)
        desk.lapse()
        desk.tick()
    assert desk.events()[-4:] == ["crashed", "silent", "crashed", "parked"]


def test_a_move_makes_up_for_the_crashes_before_it(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.lost(JOB, desk.begin().attempt, reason="signal 9", crashed=True)
    desk.watched(round(CRASH_PAUSE_S * 1000))
    desk.tick()
    assert desk.ledger.move(desk.begin(), wait_s=0)
    assert desk.ledger.lost(JOB, desk.begin().attempt, reason="signal 9", crashed=True)
    assert desk.fields(JOB)["crashes"] == "1"


def test_a_crash_that_parks_a_render_settles_its_job(desk: Desk) -> None:
    desk.fetched(1)
    subject = RenderSubject("job_1", 1)
    for _ in range(DEADLY_CRASHES):
        desk.watched(2 * round(CRASH_PAUSE_S * 1000))
        desk.tick()
        assert desk.ledger.lost(subject, desk.begin().attempt, reason="signal 9", crashed=True)
    assert (desk.state(subject), desk.state(JOB)) == ("parked", "parked")
    assert desk.fields(JOB)["reason"].startswith("render 1 parked: its worker died 3 times in a row")


def test_what_a_stop_cut_off_is_dispatched_again_at_once(desk: Desk) -> None:
    desk.accept(job="job_1")
    for attempt in range(1, DEADLY_CRASHES + 3):
        assert desk.begin().attempt == attempt
        assert desk.ledger.lost(JOB, attempt, reason="the worker was stopped", crashed=False)
    assert desk.nudges() == [("fetch", "job_1", DEADLY_CRASHES + 3)]
    assert desk.fields(JOB)["crashes"] == "0"
    assert desk.due() == {"job_1": ("fetch", desk.at + LEASE_MS)}
    assert set(desk.events()) == {"known", "callback", "put_back"}


def test_a_stop_leaves_the_crashes_as_they_are(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.lost(JOB, desk.begin().attempt, reason="signal 9", crashed=True)
    desk.watched(round(CRASH_PAUSE_S * 1000))
    desk.tick()
    assert desk.ledger.lost(JOB, desk.begin().attempt, reason="stopped", crashed=False)
    assert desk.fields(JOB)["crashes"] == "1"


@pytest.mark.parametrize("crashed", [True, False])
def test_only_a_claimed_attempt_can_be_lost_and_only_once(desk: Desk, crashed: bool) -> None:  # noqa: FBT001 - a case
    desk.accept(job="job_1")
    before = everything(desk)
    assert not desk.ledger.lost(JOB, 1, reason="x", crashed=crashed)
    assert not desk.ledger.lost(JOB, 2, reason="x", crashed=crashed)
    assert not desk.ledger.lost(JobSubject("job_2"), 1, reason="x", crashed=crashed)
    assert everything(desk) == before
    record = desk.begin()
    assert desk.ledger.lost(JOB, record.attempt, reason="x", crashed=crashed)
    after = everything(desk)
    desk.at += 1
    assert not desk.ledger.lost(JOB, record.attempt, reason="x", crashed=crashed)
    assert not desk.ledger.renew(JOB, record.attempt)
    assert not desk.ledger.move(record, "failed", reason="late")
    assert desk.ledger.begin(JOB, "fetch", record.attempt) is None
    assert everything(desk) == after


def test_a_lost_attempt_finds_a_full_queue(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    desk.redis.rpush("rq:queue:upstream", *["filler"] * QUEUE_CAP)
    assert desk.ledger.lost(JOB, record.attempt, reason="stopped", crashed=False)
    assert desk.due() == {"job_1": ("fetch", desk.at)}
    assert not desk.ledger.move(record, "failed")
    desk.redis.delete("rq:queue:upstream")
    assert desk.tick() == 1


def test_events_are_counted_and_outlive_their_job(desk: Desk) -> None:
    desk.fetched(0)
    desk.accept(job="job_2")
    expected = {b"known": b"2", b"callback": b"2", b"result": b"1", b"finished": b"1"}
    assert desk.redis.hgetall(keys.COUNTS) == expected
    desk.ledger.erase(JOB)
    assert desk.redis.hgetall(keys.COUNTS) == expected


def test_an_illegal_move_names_both_states(desk: Desk) -> None:
    desk.fetched(1)
    desk.tick()
    record = desk.begin()
    with pytest.raises(Conflict, match=r"planned.*kept"):
        desk.ledger.move(record, "kept")


# Renders


def test_a_result_without_renders_finishes_the_job(desk: Desk) -> None:
    desk.fetched(0)
    assert desk.state(JOB) == "finished"
    assert desk.redis.zrange(keys.jobs_in("finished"), 0, -1) == [b"job_1"]
    assert desk.redis.zrange(keys.jobs_in("fetching"), 0, -1) == []


def test_a_job_is_finished_when_its_last_render_is(desk: Desk) -> None:
    desk.fetched(2)
    desk.at += 1
    assert desk.state(JOB) == "rendering"
    assert desk.tick() == 2
    for step, subject, attempt in desk.nudges():
        record = desk.ledger.begin(parse_subject(subject), step, attempt)
        assert record is not None
        assert desk.ledger.move(record, "starting", hold=True)
        assert desk.ledger.move(record, "queued", wait_s=1, fields={"render_id": "x"})
    desk.at += 1001
    assert desk.tick() == 2
    for step, subject, attempt in desk.nudges():
        assert step == "watch"
        record = desk.ledger.begin(parse_subject(subject), step, attempt)
        assert record is not None
        assert desk.ledger.move(record, "failed" if subject.endswith("/2") else "keeping")
    assert desk.state(JOB) == "rendering"
    keep = desk.begin(FILES)
    assert keep.step == "keep"
    assert desk.ledger.move(keep, "kept")
    assert desk.state(JOB) == "finished"
    assert desk.due() == {}


def test_a_parked_render_parks_its_job_once_the_others_have_ended(desk: Desk) -> None:
    desk.fetched(1)
    desk.tick()
    desk.ledger.move(desk.begin(), "parked", reason="preset unknown")
    assert desk.state(RenderSubject("job_1", 1)) == "parked"
    assert desk.fields(JOB)["reason"] == "render 1 parked: preset unknown"
    assert desk.state(JOB) == "parked"


# People


def test_retry_sets_a_parked_render_going_where_it_stopped(desk: Desk) -> None:
    desk.fetched(1)
    desk.tick()
    desk.ledger.move(desk.begin(), "parked", reason="preset unknown")
    assert desk.ledger.retry(JOB) == 1
    assert (desk.state(JOB), desk.state(RenderSubject("job_1", 1))) == ("rendering", "planned")
    assert desk.tick() == 1
    assert desk.ledger.retry(JOB) == 0


def test_retry_fetches_a_failed_job_again(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.move(desk.begin(), "failed", fields={"reason": "no speech"})
    assert desk.ledger.retry(JOB) == 1
    assert "reason" not in desk.fields(JOB)
    desk.tick()
    assert desk.nudges() == [("fetch", "job_1", 2)]


def test_erase_leaves_no_key_and_a_late_callback_does_not_bring_it_back(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=LEASE_MS)
    desk.ledger.link(REF, "job_1", first_ms=0, by="submission")
    desk.accept(ref=REF, body=b"x")
    desk.ledger.plan(desk.begin(), [{}, {}], {})
    desk.accept(ref=REF, body=b"y")
    assert desk.ledger.fence(JOB)
    assert desk.ledger.erase(JOB)
    of_nobody = {"rq:queues", "sr:erased", "sr:clock", "sr:counts", "sr:events", "sr:measures"}
    left = {key.decode() for key in desk.redis.keys("*")} - of_nobody
    assert not [key for key in left if not key.startswith(("rq:job:", "sr:hour:"))]
    assert desk.accept(ref=REF, body=b"z").outcome == "erased"
    assert desk.accept(job="job_1", body=b"z").outcome == "erased"
    assert not desk.ledger.exists(JOB)


def test_a_fenced_job_takes_no_more_writes(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    desk.ledger.fence(JOB)
    assert not desk.ledger.move(record, "failed")


def test_the_timeline_is_capped(desk: Desk) -> None:
    for n in range(TIMELINE_CAP + 20):
        desk.accept(job="job_1", body=b"%d" % n)
    assert len(desk.events()) == TIMELINE_CAP


def test_an_outcome_with_strange_text_is_kept_as_it_is(desk: Desk) -> None:
    desk.accept(job="job_1")
    reason = 'no "speech" \\ % \u2028 \U0001f600 \n'
    desk.ledger.move(desk.begin(), "parked", reason=reason)
    assert desk.fields(JOB)["reason"] == reason


def test_redis_own_clock_is_used_when_none_is_given(redis: Redis) -> None:
    ledger = Ledger(redis)
    ledger.link("", "job_1", first_ms=0, by="watch")
    seconds, micros = redis.time()
    now_ms = seconds * 1000 + micros // 1000
    created = int(redis.hget(keys.record(JOB), "created"))
    assert 0 <= now_ms - created < 5000


# What happens in the cracks


def test_a_callback_that_names_the_job_brings_along_what_came_before_it(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="open", fields={}, due_ms=None)
    first = desk.accept(ref=REF, body=b"", receipt="rc1")
    second = desk.accept(ref=REF, job="job_1", body=b"{}", receipt="rc2")
    assert desk.ledger.take_bodies(JOB) == {first.receipt: b"", second.receipt: b"{}"}
    assert [entry["receipt"] for entry in desk.ledger.callbacks(JOB)] == ["rc1", "rc2"]
    assert desk.redis.keys("sr:*:ref:*") == []


def test_a_callback_while_a_silent_job_is_looked_at_does_not_lose_it(desk: Desk) -> None:
    desk.ledger.link("", "job_1", first_ms=0, by="watch")
    desk.tick()
    desk.begin()  # its worker dies
    desk.accept(job="job_1")
    assert desk.due()["job_1"][0] == "fetch"
    desk.lapse()
    assert desk.tick() == 1
    assert desk.nudges() == [("fetch", "job_1", 2)]


def test_a_nudge_that_comes_again_after_its_attempt_has_ended_begins_nothing(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    assert desk.ledger.move(record, wait_s=300)
    assert desk.ledger.begin(JOB, record.step, record.attempt) is None


def test_a_nudge_from_before_a_retry_begins_nothing(desk: Desk) -> None:
    desk.accept(job="job_1")
    record = desk.begin()
    desk.ledger.move(record, "parked", reason="no such job")
    desk.ledger.retry(JOB)
    assert desk.ledger.begin(JOB, record.step, record.attempt) is None


def test_linking_twice_changes_nothing_more(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=LEASE_MS)
    created = desk.at
    for _ in range(2):
        desk.at += 1000
        desk.ledger.link(REF, "job_1", first_ms=0, by="submission")
    assert desk.fields(JOB)["created"] == str(created)
    assert desk.redis.zscore(keys.jobs_in("waiting"), "job_1") == created


def test_a_callback_url_that_lay_about_for_days_does_not_make_its_job_old(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="open", fields={}, due_ms=None)
    desk.at += 30 * 86_400_000
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    assert desk.fields(JOB)["created"] == str(desk.at)


def test_bodies_that_a_parked_fetch_did_not_keep_are_the_clocks(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.move(desk.begin(), "parked", reason="no such job")
    assert desk.ledger.unarchived(10) == [JOB]


def test_bodies_that_came_during_the_last_fetch_are_the_clocks(desk: Desk) -> None:
    desk.accept(job="job_1", receipt="rc1")
    record = desk.begin()
    desk.ledger.drop_bodies(JOB, desk.ledger.take_bodies(JOB))
    desk.accept(job="job_1", body=b"late", receipt="rc2")
    desk.ledger.plan(record, [], {})
    assert desk.ledger.unarchived(10) == [JOB]


def test_a_body_that_came_while_others_were_kept_is_not_forgotten(desk: Desk) -> None:
    desk.fetched(0)
    desk.accept(job="job_1", body=b"late", receipt="rc2")
    kept = desk.ledger.take_bodies(JOB)
    desk.accept(job="job_1", body=b"later", receipt="rc3")
    desk.ledger.drop_bodies(JOB, kept)
    assert desk.ledger.take_bodies(JOB) == {"rc3": b"later"}
    assert desk.ledger.unarchived(10) == [JOB]


def test_more_bodies_than_one_command_may_name_are_forgotten(desk: Desk) -> None:
    desk.fetched(0)
    desk.redis.hset("sr:bodies:job_1", mapping={f"rc-{n}": b"{}" for n in range(10_000)})
    assert desk.ledger.drop_bodies(JOB, desk.ledger.take_bodies(JOB))
    assert desk.ledger.take_bodies(JOB) == {}


def test_linking_to_an_ended_job_leaves_the_bodies_to_the_clock(desk: Desk) -> None:
    desk.fetched(0)
    desk.ledger.drop_bodies(JOB, desk.ledger.take_bodies(JOB))
    desk.accept(ref=REF, body=b"other", receipt="rc2")
    assert desk.ledger.link(REF, "job_1", first_ms=0, by="watch") == "known"
    assert desk.ledger.unarchived(10) == [JOB]


@pytest.mark.parametrize("by", ["person", "callback"])
def test_every_ref_of_a_job_is_erased_with_it(desk: Desk, by: str) -> None:
    other = "s" * 22
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    if by == "person":
        desk.ledger.link(other, "job_1", first_ms=0, by="watch")
    else:
        desk.accept(ref=other, job="job_1")
    desk.ledger.erase(JOB)
    assert desk.redis.keys("sr:ref:*") == []
    assert desk.accept(ref=other, body=b"late").outcome == "erased"
    assert desk.redis.keys("sr:bodies:*") == []


def test_a_ref_of_a_job_is_not_erased_without_it(desk: Desk) -> None:
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    assert not desk.ledger.erase(RefSubject(REF))
    assert desk.accept(ref=REF).owner == "job_1"


def test_a_job_that_is_watched_again_after_it_was_erased_hears_its_callbacks(desk: Desk) -> None:
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    desk.ledger.erase(JOB)
    desk.ledger.link(REF, "job_1", first_ms=0, by="watch")
    assert desk.accept(ref=REF).outcome == "new"
    assert desk.accept(job="job_1", body=b"news", receipt="rc2").outcome == "new"


def test_a_run_of_an_erased_job_writes_nothing_about_its_successor(desk: Desk) -> None:
    desk.accept(job="job_1")
    old = desk.begin()
    desk.ledger.erase(JOB)
    desk.ledger.link("", "job_1", first_ms=0, by="watch")
    desk.tick()
    new = desk.begin()
    assert not desk.ledger.move(old, "failed")
    assert desk.ledger.move(new, "failed")


def test_an_erasing_that_dies_halfway_leaves_a_job_that_ends(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.begin()
    assert desk.ledger.fence(JOB)
    assert desk.tick() == 0
    desk.watched(20 * LEASE_MS)
    assert desk.tick() == 1


def test_a_retry_that_is_not_legal_makes_nothing_due(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.ledger.move(desk.begin(), "finished")
    assert desk.ledger.retry(JOB) == 0
    assert desk.due() == {}
