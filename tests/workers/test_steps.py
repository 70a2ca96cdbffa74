"""The steps from a callback to kept files, in one process against the sandbox: what each does and survives."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from workers.clock import Clock
from workers.history import Observation
from workers.identifiers import JobSubject, RenderSubject
from workers.memory import RENDERS, Memory
from workers.paths import render_path, result_path
from workers.sandbox.dialects import DIALECTS
from workers.settings import Settings
from workers.wiring import build
from workers.work import DEADLY_CRASHES

pytestmark = pytest.mark.slow

MakeStation = Callable[..., Any]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_dialect_ends_with_its_files_kept(make_station: MakeStation, dialect: str) -> None:
    station = make_station({"dialect": dialect})
    view = station.done()
    job_id = view.summary.id
    assert view.summary.state == "finished", view.timeline
    assert view.summary.progress == 1.0
    assert [render.state for render in view.renders] == ["kept"] * 3
    assert set(station.started(job_id).values()) == {1}
    books = station.sandbox.books()
    assert books["unknown_targets"] == 0
    for render in view.renders:
        body = station.services.artifacts.get(render_path(job_id, render.n))
        assert len(body) == render.size
        assert hashlib.sha256(body).hexdigest() == render.sha256 == books["renders"][render.render_id]["sha256"]
    document = json.loads(station.services.artifacts.get(result_path(job_id)))
    assert document["status"] == "COMPLETED"


def test_the_callback_is_kept_as_it_came(station: Any) -> None:
    job_id = station.submit()
    station.call(job_id, b"\x00\xff whatever")
    station.until(lambda: station.settled(job_id))
    ((path),) = [path for path in station.services.artifacts.list_job(job_id) if "callbacks" in path]
    assert station.services.artifacts.get(path) == b"\x00\xff whatever"
    assert station.services.ledger.take_bodies(JobSubject(job_id)) == {}


def test_a_callback_after_the_end_is_kept_too(station: Any) -> None:
    job_id = station.done().summary.id
    station.services.ledger.accept(ref="", job_id=job_id, receipt="late", digest="d", meta={}, body=b"late")
    station.clock.housekeep()
    assert any(path.endswith("/late") for path in station.services.artifacts.list_job(job_id))
    assert station.services.ledger.unarchived(9) == []


def test_a_failed_job_says_why(station: Any) -> None:
    view = station.done("job-fails")
    assert view.summary.state == "failed"
    assert view.summary.reason


def test_a_failed_render_is_counted_and_does_not_fail_its_job(station: Any) -> None:
    view = station.done("render-fails")
    assert view.summary.state == "finished"
    assert (view.summary.renders.total, view.summary.renders.kept, view.summary.renders.failed) == (3, 2, 1)
    failed = [render for render in view.renders if render.state == "failed"]
    assert failed[0].reason


def test_a_job_without_shorts_is_finished(station: Any) -> None:
    view = station.done("no-shorts")
    assert (view.summary.state, view.summary.renders.total) == ("finished", 0)


@pytest.mark.parametrize("word", ["null-status", "odd-status", "eager-calls"])
def test_what_is_not_ready_is_waited_for(make_station: MakeStation, word: str) -> None:
    station = make_station({"job_seconds": 0.3})
    assert station.done(word).summary.state == "finished"


@pytest.mark.parametrize("step", ["render", "watch"])
def test_a_look_is_put_off_while_others_wait(make_station: MakeStation, step: str) -> None:
    """The first one is due by history, the next by progress too."""
    station = make_station({"render_seconds": 600.0, "shorts": 2}, SWIFTIA_RATE_LIMIT="20/1s")
    memory = Memory(station.services.redis)
    for _ in range(30):
        memory.learn(RENDERS, memory.of(RENDERS), Observation(length_s=60.0))
    station.call(station.submit())
    redis, line = station.services.redis, f"sr:due:{step}"
    station.until(lambda: redis.zcard(line) == 2)
    waits, nudges = [], {}
    for subject, others in zip(redis.zrange(line, 0, -1), (0, 400), strict=True):
        redis.zadd(line, {subject: 1})
        while subject.decode() not in nudges:
            station.clock.tick()
            nudges |= {nudge[1]: nudge for nudge in station.nudges()}
        for number in range(others):
            station.services.ledger.link("", f"other_{number}", first_ms=0, by="watch")
        begun = time.time()
        station.run(nudges[subject.decode()])
        waits.append(redis.zscore("sr:due:watch", subject) / 1000 - begun)
    assert waits[1] > waits[0] + 5


def test_an_unknown_job_is_parked_at_once(station: Any) -> None:
    station.services.ledger.accept(ref="", job_id="nobodys", receipt="r", digest="d", meta={}, body=b"{}")
    station.turn()
    view = station.view("nobodys")
    assert view.summary.state == "parked"
    assert "404" in view.summary.reason or "not" in view.summary.reason
    assert station.sandbox.books()["requests"]["GET /api/jobs/{id}"] == {"404": 1}


def test_a_file_at_a_private_address_is_refused_and_parked(station: Any) -> None:
    view = station.done("private-file")
    assert view.summary.state == "parked"
    assert {render.state for render in view.renders} == {"parked"}
    assert "TRUSTED_NETWORKS" in view.renders[0].reason


def test_a_file_of_another_size_is_never_seen_and_parked_in_the_end(make_station: MakeStation) -> None:
    station = make_station(MAX_ATTEMPTS="3")
    view = station.done("wrong-size")
    assert view.summary.state == "parked"
    assert not [path for path in station.services.artifacts.list_job(view.summary.id) if path.endswith(".mp4")]


def test_a_download_that_breaks_is_done_again(station: Any) -> None:
    assert station.done("cut-file").summary.state == "finished"


def test_a_link_that_ran_out_is_asked_for_again_once(make_station: MakeStation) -> None:
    station = make_station(MAX_ATTEMPTS="3")
    view = station.done("gone-file")
    assert view.summary.state == "parked"
    assert station.services.redis.hget(f"sr:render:{view.summary.id}/1", "polls") == b"2"


def test_videos_are_left_at_swiftia_where_they_are_not_kept(make_station: MakeStation) -> None:
    station = make_station(KEEP_VIDEOS="false")
    view = station.done()
    assert view.summary.state == "finished"
    assert {render.state for render in view.renders} == {"done"}
    assert station.sandbox.books()["files"] == {}


def test_faults_upstream_are_tried_again(make_station: MakeStation) -> None:
    station = make_station({"server_errors": 0.2, "resets": 0.1, "html": 0.1, "fault_effect": "before"})
    station.sandbox.configure(fault_routes="GET /api/jobs/{id},GET /api/render/{id},GET /media")
    view = station.done()
    assert view.summary.state == "finished"
    assert set(station.started(view.summary.id).values()) == {1}


def test_what_keeps_failing_is_parked_with_the_reason(make_station: MakeStation) -> None:
    station = make_station(MAX_ATTEMPTS="3")
    job_id = station.submit()
    station.sandbox.configure(server_errors=1.0)
    station.call(job_id)
    station.until(lambda: station.settled(job_id))
    view = station.view(job_id)
    assert view.summary.state == "parked"
    assert "fetch failed 3 times" in view.summary.reason
    assert station.events(job_id).count("retry") == 2
    station.sandbox.configure(server_errors=0.0)
    assert station.services.ledger.retry(JobSubject(job_id)) == 1
    station.until(lambda: station.state(job_id) == "finished")


def test_a_refused_key_spends_no_attempts_and_goes_on_when_it_is_mended(make_station: MakeStation) -> None:
    station = make_station(MAX_ATTEMPTS="1")
    job_id = station.submit()
    station.sandbox.configure(api_key="another")
    station.call(job_id)
    station.turn()
    assert station.state(job_id) == "fetching"
    assert station.services.budget.peek().pause_s > 20


def test_a_render_that_died_between_intent_and_answer_is_started_again(station: Any) -> None:
    job_id = _dies_inside_the_window(station)
    station.until(lambda: station.state(job_id) == "finished")
    assert "render.unsure" in station.events(job_id)
    assert sorted(station.started(job_id).values()) == [1, 1, 2]


def test_or_it_is_parked_for_a_person(make_station: MakeStation) -> None:
    station = make_station(RENDER_WHEN_UNSURE="park")
    job_id = _dies_inside_the_window(station)
    station.until(lambda: station.settled(job_id))
    view = station.view(job_id)
    assert view.summary.state == "parked"
    assert sorted(station.started(job_id).values()) == [1, 1, 1]
    assert "not known" in next(render.reason for render in view.renders if render.state == "parked")
    assert "render.unsure" not in station.events(job_id)
    station.services.ledger.retry(JobSubject(job_id))
    assert station.events(job_id).count("render.unsure") == 1
    station.until(lambda: station.state(job_id) == "finished")
    assert sorted(station.started(job_id).values()) == [1, 1, 2]


def test_one_that_died_there_too_often_says_what_a_retry_may_cost(station: Any) -> None:
    job_id = _dies_inside_the_window(station)
    render = next(RenderSubject(job_id, one.n) for one in station.view(job_id).renders if one.state == "starting")
    key = f"sr:render:{render}"
    station.services.redis.hset(key, "crashes", DEADLY_CRASHES - 1)
    attempt = int(station.services.redis.hget(key, "attempt"))
    assert station.services.ledger.lost(render, attempt, reason="killed by SIGKILL", crashed=True)
    reason = next(one.reason for one in station.view(job_id).renders if one.n == render.n)
    assert "a retry may pay for a second one" in reason
    station.until(lambda: station.state(job_id) == "parked")
    assert "render.unsure" not in station.events(job_id)
    station.services.ledger.retry(JobSubject(job_id))
    assert station.events(job_id).count("render.unsure") == 1
    station.until(lambda: station.state(job_id) == "finished")


def _dies_inside_the_window(station: Any) -> str:
    """Leave one render as a process does that is killed after its POST took effect and before the answer was stored."""
    job_id: str = station.submit()
    station.call(job_id)
    station.until(lambda: station.state(job_id) == "rendering")
    station.until(lambda: station.services.redis.zcard("sr:due:render"))
    station.clock.tick()
    nudges = list(station.nudges())
    step, subject, attempt = next(nudge for nudge in nudges if nudge[0] == "render")
    record = station.services.ledger.begin(RenderSubject(job_id, int(subject.split("/")[1])), step, attempt)
    station.services.ledger.move(record, "starting", hold=True)
    station.services.swiftia.start_render(json.loads(record.fields["request"]))
    for nudge in nudges:
        if nudge[1] != subject:
            station.run(nudge)
    # The lease of the dead attempt runs out.
    station.services.redis.zadd("sr:due:render", {subject: 0})
    return job_id


def test_an_account_that_is_missing_burns_no_tries_and_its_jobs_go_on_when_it_is_back(
    make_station: MakeStation, redis: Any, tmp_path: Any
) -> None:
    path = tmp_path / "accounts.toml"
    station = make_station(MAX_ATTEMPTS="1")
    acme = f'[acme]\nkey = "sandbox-key"\nrate_limit = "1000/1s"\nbase_url = "{station.sandbox.url}"\n'
    path.write_text(acme)
    made = {"SWIFTIA_ACCOUNTS": str(path), "DATA_DIR": str(tmp_path / "data"), "TRUSTED_NETWORKS": "127.0.0.0/8"}

    def again(text: str) -> Any:
        path.write_text(text)
        services = build(Settings.from_env(made), redis)
        clock = Clock(services.ledger, services.budgets, services.artifacts, redis)
        return replace(station, services=services, clock=clock)

    job_id = again(acme).submit(account="acme")
    without = again('[beta]\nkey = "k"\n')
    without.call(job_id)
    for nudge in without.nudges():
        without.run(nudge)
    assert (without.state(job_id), without.events(job_id)[-1]) == ("fetching", "callback")
    assert "tries" not in redis.hgetall(f"sr:job:{job_id}")
    redis.zadd("sr:due:fetch@acme", {job_id: 0})
    without.turn()
    assert station.sandbox.books()["requests"].get("GET /api/jobs/{id}") is None
    assert without.services.ledger.unfinished() == {"": 0, "acme": 1}
    back = again(acme)
    back.until(lambda: back.settled(job_id))
    assert back.view(job_id).summary.state == "finished"
    assert redis.keys("sr:busy*") == []


def test_jobs_from_before_the_file_are_the_default_accounts(
    make_station: MakeStation, redis: Any, tmp_path: Any
) -> None:
    station = make_station()
    job_id = station.submit()
    path = tmp_path / "accounts.toml"
    table = f'key = "sandbox-key"\nrate_limit = "1000/1s"\nbase_url = "{station.sandbox.url}"\n'
    path.write_text(f'[default]\n{table}[beta]\nkey = "another"\n')
    made = {"SWIFTIA_ACCOUNTS": str(path), "DATA_DIR": str(tmp_path / "data"), "TRUSTED_NETWORKS": "127.0.0.0/8"}
    services = build(Settings.from_env(made), redis)
    later = replace(
        station, services=services, clock=Clock(services.ledger, services.budgets, services.artifacts, redis)
    )
    later.call(job_id)
    later.until(lambda: later.settled(job_id))
    assert later.view(job_id).summary.state == "finished"
    assert later.view(job_id).summary.account is None


def test_rules_choose_and_shape_the_renders(make_station: MakeStation, tmp_path: Any) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[VideoShorts]\nshorts = 1\npreset = "VIRAL"\n')
    station = make_station(RENDER_RULES=str(rules))
    assert station.done().summary.renders.total == 1
    assert station.done("other", render={"shorts": 2}).summary.renders.total == 2
    assert station.done("third", render=False).summary.renders.total == 0


def age(station: Any, job_id: str, days: float) -> None:
    """Let a job be so old."""
    redis, key = station.services.redis, f"sr:job:{job_id}"
    redis.hset(key, "created", int(redis.hget(key, "created")) - round(days * 86_400_000))


@pytest.mark.parametrize(("days", "state"), [(28.9, "fetching"), (29.1, "parked")])
def test_a_job_that_still_runs_when_it_is_about_to_be_archived_is_parked(
    make_station: MakeStation, days: float, state: str
) -> None:
    station = make_station({"job_seconds": 600.0}, ARCHIVE_DAYS="30")
    job_id = station.submit()
    age(station, job_id, days)
    station.call(job_id)

    def looked_at() -> bool:
        return station.state(job_id) == "parked" or station.services.redis.hexists(f"sr:job:{job_id}", "trail")

    station.until(looked_at)
    assert station.state(job_id) == state


def test_a_render_that_still_runs_when_its_job_is_about_to_be_archived_is_parked(make_station: MakeStation) -> None:
    station = make_station({"render_seconds": 600.0, "shorts": 1}, ARCHIVE_DAYS="30")
    job_id = station.submit()
    station.call(job_id)
    station.until(lambda: station.state(job_id) == "rendering")
    age(station, job_id, 29.1)
    station.until(lambda: station.state(job_id) == "parked")
    assert "archived by now" in station.view(job_id).renders[0].reason
