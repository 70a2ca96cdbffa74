"""Event streams on the wire: a real gunicorn with two worker processes, real Valkey."""

import contextlib
import itertools
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from receiver import server
from tests.listening import Ear, Heard, Parser
from tests.receiver.test_server import KEY, PROGRAM, Running, head, received, start, status, stop
from tests.workers.desk import JOB, Desk
from workers.tokens import shared_token

pytestmark = pytest.mark.slow
TOKEN = "an-admin-token-of-tests"
SHARED = f"/webhooks/swiftia/{shared_token([KEY])}"
Listen = Callable[..., Ear]


@pytest.fixture(scope="module")
def web(tmp_path_factory, valkey_server, eventually) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("web"), valkey_server.url, ["-c", PROGRAM], WEB_CONCURRENCY="2")
    try:
        eventually(running.alive, timeout=30)
        yield running
    finally:
        stop(running)


@pytest.fixture
def listen(web: Running) -> Iterator[Listen]:
    with contextlib.ExitStack() as stack:
        yield lambda path, **how: stack.enter_context(Ear(how.pop("port", web.port), path, token=TOKEN, **how))


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk(redis)


def told(redis: Redis, about: str = "") -> list[str]:
    """The ids of what the ledger told, of one subject or of all."""
    return [name.decode() for name, entry in redis.xrange("sr:events") if entry[b"subject"].decode().startswith(about)]


def ids(heard: list[Heard]) -> list[str]:
    return [each.last_id for each in heard if each.event == "change"]


def test_a_job_is_heard_from_how_it_stands_to_its_end(desk, listen, redis):
    desk.accept(job="job_1")
    desk.accept(job="job_2")
    ear = listen("/api/jobs/job_1/events")
    assert (ear.status, ear.answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert (ear.answer.headers["Cache-Control"], ear.answer.headers["X-Accel-Buffering"]) == ("no-store", "no")
    (job,) = ear.until("job")
    assert json.loads(job.data)["state"] == "fetching"
    assert "shorts" not in json.loads(job.data)
    assert ear.parser.retry == 2000
    desk.ledger.move(desk.ledger.begin(JOB, "fetch", 1), wait_s=60, fields={"progress": 0.5})
    desk.accept(job="job_2", body=b"news")
    desk.at += 60_000
    desk.tick()
    desk.ledger.move(desk.ledger.begin(JOB, "fetch", 2), "failed", events=[("failed", {"reason": "no speech"})])
    heard = ear.until()
    changes = [json.loads(each.data) for each in heard][-3:]
    assert [(change.get("event"), change.get("state"), change.get("progress")) for change in changes] == [
        ("progress", "fetching", 0.2),
        ("failed", "failed", None),
        (None, None, None),
    ]
    assert [each.event for each in heard][-3:] == ["change", "change", "end"]
    # What it heard may begin before how it stands, never behind.
    assert ids(heard) == told(redis, "job_1")[-len(ids(heard)) :]
    assert listen("/api/jobs/job_1/events", last_id=ear.parser.last_id).status == 204


def test_who_comes_after_the_end_hears_how_it_ended(desk, listen):
    desk.accept(job="job_1")
    desk.ledger.move(desk.begin(), "failed")
    assert [each.event for each in listen("/api/jobs/job_1/events").until()] == ["job", "end"]


def test_who_comes_back_after_the_end_hears_what_was_missed(desk, listen, redis):
    desk.accept(job="job_1")
    ear = listen("/api/jobs/job_1/events")
    ear.until("job")
    last = told(redis)[-1]
    ear.close()
    desk.ledger.move(desk.begin(), "failed")
    heard = listen(f"/api/jobs/job_1/events?last_event_id={last}").until()
    assert [each.event for each in heard] == ["change", "end"]
    assert ids(heard) == told(redis)[-1:]


def test_what_cannot_be_resumed_begins_anew(desk, listen, redis):
    desk.accept(job="job_1")
    # An id of nobody's: it lies ahead of all.
    stale = "99999999999999-0"
    heard = list(itertools.islice(listen("/api/jobs/job_1/events", last_id=stale).hear(), 2))
    assert [each.event for each in heard] == ["reset", "job"]
    ear = listen("/api/events", last_id=stale)
    assert [each.event for each in ear.until("reset")] == ["reset"]
    desk.accept(job="job_2")
    assert _up_to(ear, told(redis, "job_2")[0])


def test_every_listener_hears_all_of_it_in_order_across_reconnects(web, desk, listen, redis):
    done = threading.Event()

    def work() -> None:
        mine = Desk(redis)
        for n in range(400):
            mine.accept(job=f"job_{n}")
        done.set()

    ear = listen("/api/events")
    desk.accept(job="job_first")
    heard = ear.until("change")
    threading.Thread(target=work).start()
    connections = 1
    while not done.is_set() or ids(heard)[-1] != told(redis)[-1]:
        ear.close()
        ear = listen("/api/events", last_id=heard[-1].last_id)
        connections += 1
        heard += itertools.islice(ear.hear(), 7) if not done.is_set() else _up_to(ear, told(redis)[-1])
    expected = told(redis)
    assert ids(heard)[-len(expected) :] == expected
    assert len(set(ids(heard))) == len(ids(heard))
    assert connections > 10
    assert web.alive()


def _up_to(ear: Ear, last: str) -> list[Heard]:
    found = []
    for each in ear.hear():
        found.append(each)
        if each.last_id == last:
            break
    return found


def workers_of(running: Running) -> list[int]:
    return [
        int(pid) for pid in Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    ]


def test_a_listener_goes_on_where_it_was_after_a_restart(tmp_path, desk, listen, redis_url, eventually):
    running, redis = start(tmp_path, redis_url, ["-c", PROGRAM]), desk.redis
    try:
        eventually(running.alive, timeout=30)
        ear = listen("/api/events", port=running.port)
        desk.accept(job="job_1")
        heard = list(itertools.islice(ear.hear(), 2))
        (worker,) = workers_of(running)
        os.kill(worker, signal.SIGKILL)
        assert ear.until() == []
        desk.accept(job="job_2")
        eventually(lambda: workers_of(running) not in ([worker], []) and running.alive(), timeout=30)
        ear = listen("/api/events", port=running.port, last_id=heard[-1].last_id)
        desk.accept(job="job_3")
        heard += itertools.islice(ear.hear(), 4)
        assert ids(heard) == told(redis)
    finally:
        stop(running)


def threads_of(running: Running) -> list[int]:
    found = [re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in workers_of(running)]
    return [int(match[1]) for match in found if match]


def test_three_hundred_listen_while_callbacks_are_taken(web, redis, listen):
    ears = [listen("/api/events") for _ in range(300)]
    assert {ear.status for ear in ears} == {200}
    assert max(threads_of(web)) <= server.THREADS + 6
    for n in range(20):
        assert web.ask("POST", SHARED, b'{"id":"job_%d"}' % n)[0] == 202
    expected = told(redis)
    assert len(expected) == 40
    for ear in ears:
        assert ids(_up_to(ear, expected[-1]))[-len(expected) :] == expected
        ear.close()
    assert web.ask("POST", SHARED, b'{"id":"job_z"}')[0] == 202


def test_whose_job_is_erased_hears_that_and_nothing_is_left(desk, web, listen, redis):
    desk.accept(job="job_1")
    ear = listen("/api/jobs/job_1/events")
    ear.until("job")
    assert web.ask("DELETE", "/api/jobs/job_1", Authorization=f"Bearer {TOKEN}")[0] in (200, 204)
    heard = ear.until()
    assert [json.loads(each.data).get("event") for each in heard if each.event == "change"][-1] == "erased"
    assert heard[-1].event == "end"
    assert "job_1" not in repr(redis.xrange("sr:events"))
    assert listen("/api/jobs/job_1/events", last_id=heard[-1].last_id).status == 404


def test_a_stop_is_not_held_up_by_listeners_who_are_let_go_before_it_is_over(
    tmp_path, valkey_server, eventually, listen
):
    running = start(tmp_path, valkey_server.url, ["-c", PROGRAM], GRACE_SECONDS="20")
    try:
        eventually(running.alive, timeout=30)
        ears = [listen("/api/events", port=running.port) for _ in range(20)]
        with running.connect() as sock:
            sock.sendall(head("Content-Length: 4") + b"12")
            assert running.ask("GET", "/healthz")[0] == 200  # the server has both by now
            running.process.send_signal(signal.SIGTERM)
            for ear in ears:
                assert ear.until() == []
            assert running.process.poll() is None
            sock.sendall(b"34")
            assert status(received(sock)) == 202
        assert running.process.wait(10) == 0
        assert "Traceback" not in running.log.read_text()
    finally:
        stop(running)


def test_an_old_proxy_gets_a_body_without_chunks(web, desk, redis):
    with web.connect() as sock:
        sock.sendall(f"GET /api/events HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        raw = received(sock)
        desk.accept(job="job_1")
        while not raw.endswith(b"\n\n") or b"event: change" not in raw:
            raw += sock.recv(65536)
    top, _, body = raw.partition(b"\r\n\r\n")
    assert b"chunked" not in top
    assert Parser().lines(body.decode())[0].last_id == told(redis)[0]


@pytest.mark.parametrize("last", ["5", "x", "5-0-0", "-1-0", "5-%0a", "9" * 40 + "-0"])
@pytest.mark.parametrize("path", ["/api/events", "/api/jobs/job_1/events"])
def test_a_malformed_id_is_refused(web, path, last):
    code, headers, _ = web.ask("GET", f"{path}?last_event_id={last}", Authorization=f"Bearer {TOKEN}")
    assert (code, headers["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.usefixtures("redis")
def test_who_has_no_token_or_no_job_hears_nothing(web):
    assert web.ask("GET", "/api/events")[0] == 401
    assert web.ask("GET", "/api/jobs/job_1/events?token=" + TOKEN)[0] == 401
    assert web.ask("GET", "/api/jobs/job_1/events", Authorization=f"Bearer {TOKEN}")[0] == 404
    assert web.ask("HEAD", "/api/events", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_another_server_than_gunicorn_says_that_it_cannot(api):
    assert api.get("/api/events").status_code == 501
