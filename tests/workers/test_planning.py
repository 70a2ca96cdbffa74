"""Whatever the load: it ends, its books balance, and no window ever holds more requests than are allowed."""

import doctest
import json
import random
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.limits import PLANS, TURN_EVERY, RateLimit
from workers.planning import tally as tally_module
from workers.planning.account import Account
from workers.planning.lines import Lines
from workers.planning.load import DAY_S, Load
from workers.planning.needs import JOB_BYTES, OPEN_JOB_BYTES, OPEN_RENDER_BYTES, RENDER_BYTES, needs
from workers.planning.plan import Plan, plan
from workers.work import CLASSES, UPSTREAM

LIMITS = st.builds(RateLimit, requests=st.integers(1, 6), window_ms=st.integers(100, 6000))
LOADS = st.builds(
    Load,
    limit=LIMITS,
    jobs_per_day=st.floats(1, 1e6),
    shorts=st.integers(0, 5),
    render_median_s=st.floats(0.1, 2000),
    render_deviation=st.floats(0, 2),
    job_s=st.floats(0, 3000),
    stalls=st.floats(0, 1),
    answer_s=st.floats(0, 3),
    reconcile_after_s=st.floats(1, 1000),
)


def luck(seed: object = "a seed") -> random.Random:
    return random.Random(str(seed))  # noqa: S311 - the same draws every time


def test_the_examples():
    assert doctest.testmod(tally_module).failed == 0


@settings(max_examples=60, deadline=None)
@given(load=LOADS, jobs=st.integers(1, 12), seed=st.integers())
def test_the_books_balance(load, jobs, seed):
    tally = Account(load, luck(seed), jobs=jobs).run()
    renders = jobs * load.shorts
    assert (tally.jobs, tally.started, len(tally.noticed_s), len(tally.looks)) == (jobs, renders, renders, renders)
    assert sum(tally.requests.values()) == len(tally.sent_ms)
    assert set(tally.requests) <= set(CLASSES[UPSTREAM])
    assert (tally.requests["submit"], tally.requests["render"]) == (jobs, renders)
    assert tally.requests["fetch"] + tally.requests["reconcile"] >= jobs
    assert tally.requests["watch"] == sum(tally.looks)
    assert all(seconds >= 0 for seconds in tally.noticed_s)
    assert len(tally.ended_s) == (jobs if load.shorts else 0)


@settings(max_examples=60, deadline=None)
@given(load=LOADS, jobs=st.integers(1, 12), seed=st.integers())
def test_no_window_ever_holds_more_than_is_allowed(load, jobs, seed):
    sent = Account(load, luck(seed), jobs=jobs).run().sent_ms
    assert sent == sorted(sent)
    for first, beyond in zip(sent, sent[load.limit.requests :], strict=False):
        assert beyond - first >= load.limit.window_ms


@given(due=st.lists(st.tuples(st.sampled_from(CLASSES[UPSTREAM]), st.integers(0, 50)), max_size=60))
def test_everybody_has_a_turn_and_nobody_before_he_is_due(due):
    lines = Lines()
    for number, (name, at) in enumerate(due):
        lines.add(name, at, number)
    assert lines.waiting(25) == sum(at <= 25 for _, at in due)
    now, taken = 25, []
    while (picked := lines.pick(now)) is not None or now == 25:
        if picked is None:
            assert lines.waiting(now) == 0
            now = 50
            continue
        name, number = picked
        assert due[number] == (name, due[number][1])
        assert due[number][1] <= now
        taken.append(number)
    assert sorted(taken) == list(range(len(due)))


def test_the_less_important_wait_for_their_tenth_slot():
    lines = Lines()
    for number in range(40):
        lines.add("render", number, "render")
    lines.add("watch", 7, "watch")
    chosen = [lines.pick(100)[0] for _ in range(41)]
    assert chosen.index("watch") == TURN_EVERY - 1


PRO = Load(limit=PLANS["pro"], jobs_per_day=3000.0, shorts=2)


@pytest.fixture(scope="module")
def fitting() -> Plan:
    return plan(PRO, accounts=1, luck=luck)


def test_the_same_luck_gives_the_same_answer(fitting: Plan):
    first = fitting
    assert first == plan(PRO, accounts=1, luck=luck)
    json.dumps(asdict(first), allow_nan=False)
    assert first.fits
    assert first.requests_per_job == pytest.approx(2 + 2 + 2 * first.looks)
    assert first.ceiling_per_h * first.requests_per_job == pytest.approx(first.allowed_per_h, rel=0.25)


def test_without_renders_the_ceiling_is_two_requests_a_job():
    found = plan(replace(PRO, shorts=0, answer_s=0.25), accounts=1, luck=luck)
    assert found.allowed_per_h == pytest.approx(3600 / 1.25)
    assert found.ceiling_per_h == pytest.approx(3600 / 1.25 / 2)


def test_what_does_not_fit_is_told_with_how_many_accounts_would_do():
    crowded = plan(replace(PRO, jobs_per_day=30_000.0), accounts=1, luck=luck)
    assert not crowded.fits
    assert crowded.busy == 1.0
    shared = crowded.accounts_needed
    assert plan(replace(PRO, jobs_per_day=30_000.0 / shared), accounts=shared, luck=luck).fits
    assert crowded.noticed["mean"] > 60
    assert crowded.looks < 1.5 < plan(replace(PRO, jobs_per_day=100.0), accounts=1, luck=luck).looks


def test_what_it_takes_grows_with_the_accounts_and_a_narrow_link_is_told(fitting: Plan):
    one, many = fitting, replace(fitting, accounts=50)
    small, large = (needs(each, PRO, video_bytes=10_000_000, link_per_s=1e9, kept_days=30) for each in (one, many))
    assert large.upstream_workers > small.upstream_workers
    assert large.redis_bytes == pytest.approx(50 * small.redis_bytes)
    longer = needs(one, PRO, video_bytes=10_000_000, link_per_s=1e9, kept_days=60)
    assert longer.redis_bytes - small.redis_bytes == pytest.approx(3000 * 30 * (JOB_BYTES + 2 * RENDER_BYTES), abs=2)
    none_kept = needs(one, PRO, video_bytes=10_000_000, link_per_s=1e9, kept_days=0)
    assert none_kept.redis_bytes > 3000 / DAY_S * 60 * (OPEN_JOB_BYTES + 2 * OPEN_RENDER_BYTES)
    assert small.files_per_day == pytest.approx(3000 * 2 * 10_000_000)
    assert small.files_per_s == pytest.approx(small.files_per_day / DAY_S)
    assert needs(one, PRO, video_bytes=10_000_000, link_per_s=1e5, kept_days=30).file_s is None
