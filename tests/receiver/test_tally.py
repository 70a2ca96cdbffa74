"""What the door counts: in one process, and in those of a real gunicorn that share a board."""

import base64
import contextlib
import json
import os
import signal
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from receiver.app import create_app
from receiver.board import Board
from receiver.tally import BOUNDS, Tally
from tests.receiver.test_server import DOOR, PROGRAM, Running, free_port, head, start, stop
from workers.settings import Settings
from workers.wiring import build

ADMIN = {"Authorization": "Bearer an-admin-token-of-tests"}
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def numbers(text: str) -> dict[str, float]:
    """The door's counters that are not nought."""
    return {
        next(iter(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.removeprefix("swiftia_receiver_") in ("callbacks", "callbacks_refused")
        for sample in family.samples
        if sample.value
    }


def told(api) -> dict[str, float]:
    return numbers(api.get("/metrics").text)


def test_rows_are_added_up_and_outlive_who_wrote_them():
    board = Board(3, rows=2)
    for n in (0, 1, 1):
        board.row(n).add((0, 1), (2, 5))
    assert board.totals() == [3, 0, 15]
    with pytest.raises(IndexError):
        board.row(2)


def test_what_a_forked_process_counts_is_seen_here():
    board = Board(1)
    if (child := os.fork()) == 0:
        board.row(7).add((0, 3))
        os._exit(0)
    os.waitpid(child, 0)
    assert board.totals() == [3]


def test_threads_of_one_process_lose_nothing():
    tally = Tally()

    def count() -> None:
        for _ in range(2000):
            tally.took("new", 0.001)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cumulative, seconds = tally.latency()
    assert tally.outcomes()["new"] == cumulative[0] == cumulative[-1] == 16_000
    assert seconds == pytest.approx(16)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (-1.0, 0), (0.001, 0), (0.0011, 1), (5.0, len(BOUNDS) - 1), (60.0, len(BOUNDS))]
)
def test_a_bound_belongs_to_its_bucket(seconds, bucket):
    tally = Tally()
    tally.took("new", seconds)
    cumulative, total = tally.latency()
    assert cumulative == [0] * bucket + [1] * (len(BOUNDS) + 1 - bucket)
    assert total == max(0.0, seconds)


def test_each_ending_of_a_callback_has_its_place(api, job_url, shared_url):
    api.post(job_url, data=b"a")
    api.post(job_url, data=b"a")
    api.post(job_url, data=b"b")
    api.post(job_url + "x", data=b"a")
    api.post(job_url, data=b"x" * 10_001)
    api.post(shared_url, data=b"{}")
    expected = {"new": 2, "duplicate": 1, "token": 1, "size": 1, "unidentifiable": 1}
    assert told(api) == expected


def test_a_signature_that_does_not_fit_is_not_taken_for_a_wrong_token(build_services, admin_of, job_url):
    api = admin_of(create_app(build_services(WEBHOOK_SIGNING_SECRETS=SECRET)))
    assert api.post(job_url, data=b"a").status_code == 401
    assert told(api) == {"signature": 1}


def test_what_the_spool_takes_and_what_nothing_takes(env, job_url, tmp_path, admin_of):
    api = admin_of(create_app(build(Settings.from_env(env), Redis(port=1, retry=None))))
    api.post(job_url, data=b"a")
    assert told(api) == {"spooled": 1}
    (tmp_path / "broken").write_text("a file where a folder must be")
    broken = {**env, "DATA_DIR": str(tmp_path / "other")}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "spool").write_text("a file where a folder must be")
    api = admin_of(create_app(build(Settings.from_env(broken), Redis(port=1, retry=None))))
    assert api.post(job_url, data=b"a").status_code == 503
    assert told(api) == {"not_stored": 1}


# Several processes


@pytest.fixture(scope="module")
def several(tmp_path_factory, valkey_server, eventually):
    folder, port = tmp_path_factory.mktemp("several"), free_port()
    changes = {"WEB_CONCURRENCY": "2", "METRICS_PORT": str(port), "PUBLIC_URL": "https://hooks.example.org"}
    running = start(folder, valkey_server.url, ["-c", PROGRAM], **changes)
    inside = Running(running.process, port, running.log)
    try:
        eventually(running.alive, timeout=30)
        yield running, inside
    finally:
        stop(running)


def workers_of(running: Running) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            name, stat = int(process.name), (process / "stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == running.process.pid:
                found.append(name)
    return found


def all_counted(inside: Running) -> float:
    status, _, body = inside.ask("GET", "/metrics")
    assert status == 200
    found = numbers(body.decode())
    return found.get("new", 0) + found.get("duplicate", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("redis")
def test_a_worker_that_dies_takes_no_count_with_it(several, eventually):
    running, inside = several
    eventually(lambda: len(workers_of(running)) == 2)
    before = all_counted(inside)
    for _ in range(40):
        assert running.ask("POST", DOOR, b"{}")[0] == 202
    assert all_counted(inside) == before + 40
    for worker in workers_of(running):
        os.kill(worker, signal.SIGKILL)
        eventually(lambda gone=worker: gone not in workers_of(running) and len(workers_of(running)) == 2, timeout=20)
        eventually(running.alive, timeout=20)
    for _ in range(10):
        assert running.ask("POST", DOOR, b"{}")[0] == 202
    assert all_counted(inside) == before + 50


@pytest.mark.slow
def test_the_port_of_its_own_gives_the_numbers_and_nothing_else(several):
    _, inside = several
    status, headers, body = inside.ask("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"swiftia_receiver_redis_up 1.0" in body
    for method, path in (("POST", DOOR), ("GET", "/"), ("GET", "/api/jobs"), ("GET", "/metrics/"), ("GET", "/healthz")):
        status, headers, body = inside.ask(method, path, **ADMIN)
        assert (status, headers["Content-Type"]) == (404, "application/problem+json"), path
        assert json.loads(body)["type"] == "/problems/not-found"
    assert inside.ask("POST", "/metrics")[0] == 405


@pytest.mark.slow
def test_a_body_that_ends_early_is_counted(several):
    running, inside = several
    running.raw(head("Content-Length: 100"), b"x", half_close=True)
    assert numbers(inside.ask("GET", "/metrics")[2].decode())["body"] == 1


@pytest.mark.slow
def test_no_header_makes_the_usual_port_the_open_one(several):
    running, inside = several
    for headers in (
        {"Host": f"127.0.0.1:{inside.port}"},
        {"X-Forwarded-Port": str(inside.port)},
        {"swiftia_receiver.open": "1"},
    ):
        assert running.ask("GET", "/metrics", **headers)[0] == 401
    assert running.ask("GET", "/metrics", **ADMIN)[0] == 200
