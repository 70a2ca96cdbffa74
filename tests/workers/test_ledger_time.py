"""Redis's clock jumps, or Redis is away for a while: no live attempt loses its lease, and nothing stands still."""

import pytest
from redis import Redis

from tests.workers.desk import GAP_MS, JOB, LEASE_MS, REF, Desk
from workers.identifiers import JobSubject, RefSubject, RenderSubject
from workers.ledger import Ledger
from workers.records import Record
from workers.work import FILES, LANES, UPSTREAM, WENT_BACK_S

HOUR_MS = 3_600_000
RENDER = RenderSubject("job_1", 1)


@pytest.fixture
def desk(redis: Redis) -> Desk:
    """Return a desk whose clock has been running."""
    desk = Desk(redis)
    for lane in LANES:
        desk.passed(lane)
    return desk


def claimed(desk: Desk) -> Record:
    desk.accept(job="job_1")
    return desk.begin()


# The time jumps ahead, or nobody could renew


@pytest.mark.parametrize("away_ms", [60_000, HOUR_MS, 86_400_000])
def test_an_attempt_that_could_not_be_renewed_goes_on(desk: Desk, away_ms: int) -> None:
    record = claimed(desk)
    desk.at += away_ms
    done = desk.passed()
    assert (done.nudged, done.silent, done.parked) == (0, 0, 0)
    desk.watched(LEASE_MS - 1)
    assert desk.ledger.renew(JOB, record.attempt)
    desk.watched(LEASE_MS - 1)
    assert desk.passed().silent == 0
    assert desk.ledger.move(record, "failed")
    assert desk.fields(JOB).get("crashes") is None
    assert "silent" not in desk.events()


def test_a_dead_attempt_is_found_one_lease_after_the_gap(desk: Desk) -> None:
    claimed(desk)
    desk.at += HOUR_MS
    assert desk.passed().silent == 0
    assert desk.due() == {"job_1": ("fetch", desk.at + LEASE_MS)}
    desk.watched(LEASE_MS - 1)
    assert desk.passed().silent == 0
    desk.watched(1)
    done = desk.passed()
    assert (done.nudged, done.silent) == (1, 1)


def test_a_lease_that_lapses_without_a_gap_is_silent_at_once(desk: Desk) -> None:
    claimed(desk)
    desk.watched(LEASE_MS)
    done = desk.passed()
    assert (done.nudged, done.silent) == (1, 1)


def test_a_nudge_that_was_lost_in_the_gap_comes_back_at_once(desk: Desk) -> None:
    desk.accept(job="job_1")
    desk.nudges()
    desk.at += HOUR_MS
    assert desk.passed().nudged == 1


def test_a_backlog_of_several_passes_is_spared_whole_and_once(desk: Desk) -> None:
    jobs = [f"job_{n}" for n in range(7)]
    for job in jobs:
        desk.accept(job=job)
    for step, subject, attempt in desk.nudges():
        assert desk.ledger.begin(JobSubject(subject), step, attempt)
    desk.at += HOUR_MS
    assert desk.passed(most=0).silent == 0
    for most in (1, 2, 3, 50):
        desk.at += 100
        done = desk.passed(most=most)
        assert (done.nudged, done.silent) == (0, 0)
    assert set(desk.due()) == set(jobs)
    assert all(at > desk.at for _, at in desk.due().values())
    desk.lapse()
    done = desk.passed()
    assert (done.nudged, done.silent) == (7, 7)


def test_a_spared_attempt_is_looked_at_once_in_its_pass(desk: Desk) -> None:
    claimed(desk)
    desk.ledger.link("", "job_2", first_ms=0, by="watch")
    desk.at += HOUR_MS
    assert desk.passed(most=1).nudged == 1
    assert desk.nudges() == [("fetch", "job_2", 1)]


def test_a_dead_attempt_is_found_however_many_gaps_there_are(desk: Desk) -> None:
    claimed(desk)
    desk.at += LEASE_MS + GAP_MS
    assert desk.passed().silent == 0
    desk.at += LEASE_MS + GAP_MS
    assert desk.passed().silent == 1


def test_an_attempt_that_says_that_it_lives_is_spared_after_each_gap(desk: Desk) -> None:
    record = claimed(desk)
    for _ in range(5):
        desk.at += HOUR_MS
        assert desk.passed().silent == 0
        desk.at += 1
        assert desk.ledger.renew(JOB, record.attempt)
    assert desk.ledger.move(record, "failed")


def test_each_lane_has_gaps_of_its_own(desk: Desk) -> None:
    desk.fetched(1)
    for state in ("starting", "queued", "keeping"):
        desk.render_step(state)
        desk.at += 1
    desk.begin(FILES)
    desk.accept(job="job_2")
    desk.begin()
    for _ in range(8):
        desk.at += GAP_MS
        desk.passed(UPSTREAM, most=0)
    assert desk.passed(FILES).silent == 0
    assert desk.due()[str(RENDER)] == ("keep", desk.at + LEASE_MS)
    assert desk.passed(UPSTREAM).silent == 1


def test_the_first_pass_of_all_is_no_gap(redis: Redis) -> None:
    desk = Desk(redis)
    claimed(desk)
    desk.at += HOUR_MS
    assert desk.passed().silent == 1


# The time goes back


def test_what_waits_goes_on_after_its_own_wait(desk: Desk) -> None:
    desk.accept(job="job_1")
    assert desk.ledger.move(desk.begin(), wait_s=60)
    desk.watched(20_000)
    desk.at -= HOUR_MS
    assert desk.passed().went_back_ms == HOUR_MS
    desk.watched(39_999)
    assert desk.tick() == 0
    desk.watched(1)
    assert desk.tick() == 1


def test_a_running_attempt_keeps_its_lease(desk: Desk) -> None:
    record = claimed(desk)
    desk.watched(10_000)
    desk.at -= HOUR_MS
    desk.passed()
    desk.watched(LEASE_MS - 10_001)
    assert desk.passed().silent == 0
    assert desk.ledger.renew(JOB, record.attempt)
    desk.watched(LEASE_MS - 1)
    assert desk.passed().silent == 0
    assert desk.ledger.move(record, "failed")


def test_what_was_renewed_before_the_clock_saw_the_jump_keeps_its_lease(desk: Desk) -> None:
    record = claimed(desk)
    desk.at -= HOUR_MS
    assert desk.ledger.renew(JOB, record.attempt)
    assert desk.passed().silent == 0
    assert desk.due() == {"job_1": ("fetch", desk.at + LEASE_MS)}


def test_what_was_claimed_without_a_nudge_keeps_its_lease(desk: Desk) -> None:
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=LEASE_MS)
    desk.at -= HOUR_MS
    record = desk.ledger.claim(RefSubject(REF), "submit")
    assert record is not None
    assert desk.passed().silent == 0
    assert desk.ledger.move(record, "submitting", hold=True)


@pytest.mark.parametrize("began", [True, False])
def test_a_dead_attempt_is_found_a_lease_after_the_jump(desk: Desk, began: bool) -> None:  # noqa: FBT001 - a case
    desk.accept(job="job_1")
    if began:
        desk.begin()
    desk.nudges()
    desk.at -= HOUR_MS
    desk.passed()
    desk.lapse()
    done = desk.passed()
    assert (done.nudged, done.silent) == (1, int(began))


def test_a_gap_that_ended_in_the_future_spares_nobody(desk: Desk) -> None:
    desk.at += HOUR_MS
    for lane in LANES:
        desk.passed(lane)
    desk.at -= HOUR_MS
    for lane in LANES:
        desk.passed(lane)
    claimed(desk)
    desk.lapse()
    assert desk.passed().silent == 1


def test_a_clock_that_goes_ahead_and_back_costs_nobody_anything(desk: Desk) -> None:
    record = claimed(desk)
    for jump in (HOUR_MS, -HOUR_MS, HOUR_MS, -2 * HOUR_MS, -HOUR_MS):
        desk.at += jump
        for lane in LANES:
            assert desk.passed(lane).silent == 0
        desk.watched(8000)
        assert desk.ledger.renew(JOB, record.attempt)
    assert desk.ledger.move(record, wait_s=60)
    assert desk.due() == {"job_1": ("fetch", desk.at + 60_000)}


def test_each_lane_sees_the_jump_once_whoever_passes_it(desk: Desk) -> None:
    other = Ledger(desk.redis, now_ms=lambda: desk.at)
    desk.at -= HOUR_MS
    assert desk.passed(UPSTREAM).went_back_ms == HOUR_MS
    assert other.dispatch(UPSTREAM, most=1).went_back_ms == 0
    assert other.dispatch(FILES, most=1).went_back_ms == HOUR_MS
    assert desk.passed(FILES).went_back_ms == 0


def test_each_lane_moves_its_own(desk: Desk) -> None:
    desk.fetched(1)
    for state in ("starting", "queued", "keeping"):
        desk.render_step(state)
        desk.at += 1
    desk.ledger.link("", "job_2", first_ms=600_000, by="watch")
    for lane in LANES:
        desk.passed(lane)
    before = desk.due()
    desk.at -= HOUR_MS
    desk.passed(UPSTREAM)
    assert desk.due() == {**before, "job_2": ("reconcile", before["job_2"][1] - HOUR_MS)}
    desk.passed(FILES)
    assert desk.due()[str(RENDER)] == ("keep", desk.at + LEASE_MS)


def test_a_small_step_back_moves_nothing(desk: Desk) -> None:
    desk.ledger.link("", "job_1", first_ms=600_000, by="watch")
    before = desk.due()
    desk.at -= round(WENT_BACK_S * 1000)
    assert desk.passed().went_back_ms == 0
    assert desk.due() == before


def test_any_number_of_subjects_moves_back_each_once(desk: Desk) -> None:
    count = 1203
    for n in range(count):
        desk.ledger.link("", f"job_{n}", first_ms=n, by="watch")
    for n in range(0, count, 3):
        desk.accept(job=f"job_{n}")
    desk.nudges()
    before, now = desk.due(), desk.at
    desk.at -= HOUR_MS
    desk.passed(most=0)
    after = desk.due()
    for n in range(count):
        name, at = before[f"job_{n}"]
        if n % 3 == 0 and at == now + LEASE_MS:
            assert after[f"job_{n}"] == (name, desk.at + LEASE_MS)
        else:
            assert after[f"job_{n}"] == (name, at - HOUR_MS)


# Ages and names of attempts after the time went back


def test_an_age_is_counted_anew_and_does_not_stand_still(desk: Desk) -> None:
    desk.fetched(1)
    desk.tick()
    record = desk.begin()
    assert desk.ledger.move(record, "starting", hold=True)
    desk.at -= HOUR_MS  # an attempt of before writes its own, older, time
    assert desk.ledger.move(record, "queued", wait_s=1, fields={"started_at": record.now_ms})
    for lane in LANES:
        desk.passed(lane)
    desk.watched(1000)
    desk.tick()
    first = desk.begin()
    assert first.age_s("started_at") == 0
    assert desk.ledger.move(first, wait_s=90)
    desk.watched(90_000)
    desk.tick()
    assert desk.begin().age_s("started_at") == 90


def test_a_job_that_was_heard_of_in_the_future_is_not_looked_at_all_the_time(desk: Desk) -> None:
    record = claimed(desk)
    assert desk.ledger.move(record, wait_s=1)
    desk.at -= HOUR_MS
    desk.passed()
    ages = []
    for _ in range(3):
        desk.watched(20_000)
        desk.tick()
        record = desk.begin()
        ages.append(record.age_s("heard_at"))
        assert desk.ledger.move(record, wait_s=1)
    assert ages == [0, 20, 40]


def test_the_patience_with_a_submission_ends_too(desk: Desk) -> None:
    subject = RefSubject(REF)
    desk.ledger.open_ref(REF, state="queued", fields={"request": {}}, due_ms=LEASE_MS)
    record = desk.ledger.claim(subject, "submit")
    assert record is not None
    assert desk.ledger.move(record, "submitting", hold=True)
    assert desk.ledger.move(record, wait_s=1)
    desk.at -= HOUR_MS
    ages = []
    for _ in range(2):
        record = desk.ledger.claim(subject, "submit")
        assert record is not None
        ages.append(record.age_s("updated"))
        assert desk.ledger.move(record, wait_s=1)
        desk.at += 60_000
    assert ages == [0, 60]


def test_a_second_life_after_the_clock_went_back_knows_nothing_of_the_first(desk: Desk) -> None:
    desk.ledger.link("", "job_1", first_ms=0, by="watch")
    lives = []
    for _ in range(3):
        desk.ledger.erase(JOB)
        desk.ledger.link("", "job_1", first_ms=0, by="watch")
        desk.at -= HOUR_MS
        for _ in range(3):
            record = desk.ledger.claim(JOB, "fetch")
            assert record is not None
            lives.append(record)
            assert desk.ledger.move(record, wait_s=0.001)
    attempts = [record.attempt for record in lives]
    assert attempts == sorted(set(attempts))
