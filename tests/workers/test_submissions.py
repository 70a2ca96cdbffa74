"""Submitting against a real sandbox: one POST at most, nothing left of what was refused, nothing lost of the rest."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis import Redis

from workers.errors import (
    Busy,
    Conflict,
    CredentialsRefused,
    InvalidInput,
    LedgerUnavailable,
    ServiceError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.idempotency import IDEMPOTENCY_S, IdempotencyMismatch
from workers.identifiers import RefSubject
from workers.payloads import read_hint
from workers.seats import WAITING_AT_ONCE
from workers.submissions import Chance
from workers.tokens import SHARED, read_token
from workers.valkey import EmbeddedValkey
from workers.wiring import build

MakeStation = Callable[..., Any]
PHONE = b"15550100"


def order(video: str = "abcdefghijk", **more: object) -> dict[str, object]:
    return {"functionName": "VideoShorts", "youtubeVideoId": video, **more}


def left(redis: Redis) -> set[str]:
    """Name the keys that a submission could leave. A digest of the names of what is gone is no trace of it, and neither
    is what a station knows of renders.
    """
    passing = (
        "sr:budget:",
        "sr:hour:",
        "sr:erased",
        "sr:events",
        "sr:clock",
        "sr:counts",
        "sr:history:",
        "sr:hour:",
        "sr:measures",
        "rq:queues",
    )
    return {key.decode() for key in redis.scan_iter() if not key.decode().startswith(passing)}


def everything(redis: Redis) -> bytes:
    return b"\n".join(redis.dump(key) or b"" for key in redis.scan_iter())


def posts(station: Any) -> int:
    return len(station.sandbox.books(hashes=False)["jobs"])


def hear(station: Any, ref: str, body: bytes) -> None:
    """Take a callback as the door does."""
    hint = read_hint(body).job_id or ""
    station.services.ledger.accept(
        ref=ref, job_id=hint, receipt="rc-1", digest=body.hex(), meta={"hint": hint}, body=body
    )


def overdue(station: Any, ref: str) -> None:
    station.services.redis.zadd("sr:due:submit", {f"ref:{ref}": 0})


# The way it should go


def test_a_job_is_submitted_with_a_callback_url_of_its_own(make_station: MakeStation) -> None:
    station = make_station(PUBLIC_URL="https://hooks.example.org/in")
    sent = station.services.submissions.submit(order(), metadata={"a": 1}, render={"shorts": 1})
    assert (sent.state, sent.reason, sent.replayed) == ("waiting", None, False)
    base, _, token = station.sandbox.books()["jobs"][sent.job_id]["webhook"].rpartition("/")
    assert base == "https://hooks.example.org/in/webhooks/swiftia"
    assert read_token(token, station.services.keyring.callback_secrets()) == sent.ref
    view = station.view(sent.job_id)
    assert (view.summary.ref, view.summary.state) == (sent.ref, "waiting")
    assert station.services.redis.hmget(f"sr:job:{sent.job_id}", "metadata", "render") == [b'{"a":1}', b'{"shorts":1}']
    assert station.view(sent.ref).summary.id == sent.job_id


def test_nobody_calls_and_the_job_is_found_all_the_same(make_station: MakeStation) -> None:
    station = make_station(RECONCILE_AFTER="1ms")
    job_id = station.submit()
    station.until(lambda: station.state(job_id) == "finished")


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"functionName": ""},
        {"functionName": 3},
        {"functionName": ["VideoShorts"]},
        order(webhook="https://elsewhere.example/"),
        order(webhook=None),
    ],
)
def test_what_cannot_be_submitted_is_told_before_anything_is_stored(
    station: Any, redis: Redis, request_body: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput, match=r"functionName is missing|leave it out"):
        station.services.submissions.submit(request_body, idempotency_key="k")
    assert left(redis) == set()
    assert posts(station) == 0


def test_render_options_are_checked_before_the_job_is_paid_for(station: Any, redis: Redis) -> None:
    for asked in ({"shorts": -1}, {"colour": 1}, {"size": {"width": 1}}, "all", [1]):
        with pytest.raises(InvalidInput, match=r"^render"):
            station.services.submissions.submit(order(), render=asked)
        with pytest.raises(InvalidInput, match=r"^render"):
            station.services.links.callback_url(render=asked)
    assert left(redis) == set()


# Refusals


@pytest.mark.parametrize(
    ("word", "kind", "remedy"),
    [
        ("full-storage", "storage-full", "delete files"),
        ("no-phone", "phone-verification", "verify"),
        ("no-credit", "no-credit", "buy credits"),
    ],
)
def test_a_refusal_comes_back_with_its_remedy_and_leaves_nothing(
    station: Any, redis: Redis, word: str, kind: str, remedy: str
) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(UpstreamRefused, match=remedy) as caught:
        station.services.submissions.submit(order(word), idempotency_key="k", metadata={"x": 1})
    assert (caught.value.kind, caught.value.status) == (kind, 403)
    assert left(redis) == set()
    assert redis.zcard("sr:due:submit") == 0
    for text in (repr(caught.value), repr(caught.value.values), repr(logs), caught.value.message):
        assert PHONE.decode() not in text
    assert PHONE not in everything(redis)


def test_full_storage_says_how_full(station: Any) -> None:
    with pytest.raises(UpstreamRefused) as caught:
        station.services.submissions.submit(order("full-storage"))
    assert caught.value.values["total"] == 1000


def test_a_bad_request_says_what_swiftia_says(station: Any, redis: Redis) -> None:
    with pytest.raises(UpstreamRefused, match="functionName") as caught:
        station.services.submissions.submit({"functionName": "AudioProcessor"})
    assert (caught.value.kind, caught.value.status) == ("bad-request", 400)
    assert left(redis) == set()


def test_what_is_no_json_is_refused_before_it_is_sent(station: Any, redis: Redis) -> None:
    with pytest.raises(InvalidInput, match="plain JSON"):
        station.services.submissions.submit(order(options={"a": float("nan")}))
    assert left(redis) == set()
    assert posts(station) == 0


def test_a_refused_key_is_told_and_leaves_nothing(make_station: MakeStation, redis: Redis) -> None:
    station = make_station(SWIFTIA_API_KEY="another")
    with pytest.raises(CredentialsRefused, match="SWIFTIA_API_KEY"):
        station.services.submissions.submit(order(), idempotency_key="k")
    assert left(redis) == set()


def test_a_server_that_cannot_be_reached_leaves_nothing(make_station: MakeStation, redis: Redis) -> None:
    station = make_station()
    station.sandbox.stop()
    with pytest.raises(UpstreamUnavailable) as caught:
        station.services.submissions.submit(order(), idempotency_key="k")
    assert not caught.value.sent
    assert "ref" not in caught.value.values
    assert left(redis) == set()


# Idempotency-Key


def test_the_same_key_gives_the_same_job(station: Any, redis: Redis) -> None:
    first = station.services.submissions.submit(order(), metadata={"a": 1}, idempotency_key="k")
    again = station.services.submissions.submit(order(), metadata={"a": 1}, idempotency_key="k")
    assert (again.job_id, again.ref, again.replayed) == (first.job_id, first.ref, True)
    assert posts(station) == 1
    (name,) = redis.keys("sr:idempotency:*")
    assert IDEMPOTENCY_S - 60 < redis.ttl(name) <= IDEMPOTENCY_S


@pytest.mark.parametrize("other", [{"metadata": {"a": 2}}, {"render": False}, {"video": "zzz"}])
def test_the_same_key_for_another_body_is_refused(station: Any, other: dict[str, Any]) -> None:
    first = station.services.submissions.submit(order(), idempotency_key="k")
    with pytest.raises(IdempotencyMismatch, match="fresh one") as caught:
        station.services.submissions.submit(order(other.pop("video", "abcdefghijk")), idempotency_key="k", **other)
    assert isinstance(caught.value, Conflict)
    assert posts(station) == 1
    assert station.services.submissions.submit(order(), idempotency_key="k").job_id == first.job_id


@pytest.mark.parametrize("key", ["", "x" * 300, "é\ud800", "a b:c*\n"])
def test_any_text_is_a_key(station: Any, key: str) -> None:
    first = station.services.submissions.submit(order(), idempotency_key=key)
    assert station.services.submissions.submit(order(), idempotency_key=key).job_id == first.job_id
    assert posts(station) == 1


def test_a_key_is_free_again_after_a_refusal(station: Any) -> None:
    station.sandbox.configure(refuse="no-credit")
    with pytest.raises(UpstreamRefused):
        station.services.submissions.submit(order(), idempotency_key="k")
    station.sandbox.configure(refuse="")
    assert station.services.submissions.submit(order(), idempotency_key="k").job_id
    assert posts(station) == 1


def test_a_process_that_died_after_taking_the_key_does_not_block_it(station: Any, redis: Redis) -> None:
    first = station.services.submissions.submit(order(), idempotency_key="k", wait=False)
    redis.delete(f"sr:ref:{first.ref}")
    again = station.services.submissions.submit(order(), idempotency_key="k")
    assert (again.ref, again.replayed) == (first.ref, False)
    assert again.job_id
    assert posts(station) == 1


def test_two_at_once_with_one_key_submit_once(station: Any) -> None:
    for n in range(10):
        ready = threading.Barrier(3)

        def send(n: int = n, ready: threading.Barrier = ready) -> Any:
            ready.wait()
            return station.services.submissions.submit(order(), idempotency_key=f"k{n}")

        with ThreadPoolExecutor(3) as threads:
            sent = [future.result() for future in [threads.submit(send) for _ in range(3)]]
        assert len({one.ref for one in sent}) == 1
        assert len({one.job_id for one in sent} - {None}) == 1
        assert sum(not one.replayed for one in sent) == 1
    assert posts(station) == 10


def test_a_queued_submission_is_replayed_too(station: Any) -> None:
    first = station.services.submissions.submit(order(), idempotency_key="k", wait=False)
    again = station.services.submissions.submit(order(), idempotency_key="k", wait=False)
    assert (again.ref, again.replayed, again.state) == (first.ref, True, "waiting")
    station.turn()
    assert posts(station) == 1


# Waiting for the budget


def test_it_waits_for_its_turn(station: Any) -> None:
    station.services.budget.settle("", pause_s=0.2)
    assert station.services.submissions.submit(order()).job_id


def test_patience_ends_and_nothing_is_left(make_station: MakeStation, redis: Redis) -> None:
    station = make_station(SUBMIT_PATIENCE="0")
    station.services.budget.settle("", pause_s=20)
    with pytest.raises(Busy, match="respond-async") as caught:
        station.services.submissions.submit(order(), idempotency_key="k")
    assert 19 < caught.value.retry_after <= 20
    assert left(redis) == set()
    assert posts(station) == 0


def test_only_so_many_wait_at_once(station: Any, redis: Redis, eventually: Any) -> None:
    station.services.budget.settle("", pause_s=1)
    with ThreadPoolExecutor(WAITING_AT_ONCE) as threads:
        waiting = [threads.submit(station.services.submissions.submit, order()) for _ in range(WAITING_AT_ONCE)]
        eventually(lambda: redis.hlen("sr:budget:claims") == WAITING_AT_ONCE)
        before = left(redis)
        with pytest.raises(Busy, match="too many") as caught:
            station.services.submissions.submit(order(), idempotency_key="k")
        assert caught.value.retry_after > 0
        assert left(redis) == before
        assert len({future.result().job_id for future in waiting}) == WAITING_AT_ONCE
    assert station.services.submissions.submit(order(), idempotency_key="k").job_id
    assert posts(station) == WAITING_AT_ONCE + 1


def test_what_is_queued_is_submitted_by_a_worker(station: Any) -> None:
    station.services.budget.settle("", pause_s=0.1)
    sent = station.services.submissions.submit(order(), wait=False, metadata={"a": 1})
    assert (sent.job_id, sent.state) == (None, "waiting")
    assert posts(station) == 0
    assert station.view(sent.ref).summary.state == "waiting"
    station.until(lambda: station.services.submissions.look(sent.ref, replayed=False).job_id)
    job_id = station.services.submissions.look(sent.ref, replayed=False).job_id
    assert station.services.redis.hget(f"sr:job:{job_id}", "metadata") == b'{"a":1}'
    assert posts(station) == 1


@pytest.mark.parametrize("word", ["no-phone", "no-credit"])
def test_what_is_queued_and_refused_has_failed_with_the_reason(station: Any, redis: Redis, word: str) -> None:
    with structlog.testing.capture_logs() as logs:
        sent = station.services.submissions.submit(order(word), wait=False)
        station.until(lambda: station.services.submissions.look(sent.ref, replayed=False).state == "failed")
    assert "verify" in station.view(sent.ref).summary.reason or "credit" in station.view(sent.ref).summary.reason
    assert station.services.submissions.look(sent.ref, replayed=False).reason == station.view(sent.ref).summary.reason
    assert redis.zcard("sr:due:submit") == 0
    assert PHONE not in everything(redis)
    assert PHONE.decode() not in repr(logs)
    station.sandbox.configure(refuse="")
    assert station.services.ledger.retry(RefSubject(sent.ref)) == 1


# Answers that are lost


def lost(station: Any, **options: object) -> ServiceError:
    """Submit, and let the connection break after the job was made."""
    station.sandbox.configure(resets=1.0, fault_effect="after", fault_routes="POST /api/jobs")
    with pytest.raises(UpstreamUnavailable) as caught:
        station.services.submissions.submit(order(), **options)
    station.sandbox.configure(resets=0.0)
    assert caught.value.sent
    assert posts(station) == 1
    return caught.value


def test_a_lost_answer_names_the_ref_and_its_callback_finds_the_job(station: Any) -> None:
    ref = lost(station).values["ref"]
    ((job_id, job),) = station.sandbox.books()["jobs"].items()
    assert f"/{ref}." in job["webhook"]
    station.turn()
    hear(station, ref, json.dumps({"id": job_id}).encode())
    overdue(station, ref)
    station.until(lambda: station.services.submissions.look(ref, replayed=False).job_id == job_id)
    station.until(lambda: station.state(job_id) == "finished")
    assert posts(station) == 1


def test_a_lost_answer_is_never_submitted_again(station: Any, redis: Redis) -> None:
    ref = lost(station, idempotency_key="k").values["ref"]
    again = station.services.submissions.submit(order(), idempotency_key="k")
    assert (again.ref, again.job_id, again.state, again.replayed) == (ref, None, "waiting", True)
    for _ in range(3):
        overdue(station, ref)
        station.turn()
    assert station.services.submissions.look(ref, replayed=False).state == "waiting"
    redis.hset(f"sr:ref:{ref}", "updated", 0)
    overdue(station, ref)
    station.turn()
    found = station.services.submissions.look(ref, replayed=False)
    assert found.state == "parked"
    assert "retry would submit, and pay for, a second one" in found.reason
    assert station.services.submissions.submit(order(), idempotency_key="k").state == "parked"
    assert posts(station) == 1


def test_a_callback_that_names_the_job_frees_even_a_parked_one(station: Any, redis: Redis) -> None:
    ref = lost(station).values["ref"]
    redis.hset(f"sr:ref:{ref}", "updated", 0)
    overdue(station, ref)
    station.turn()
    assert station.view(ref).summary.state == "parked"
    (job_id,) = station.sandbox.books()["jobs"]
    hear(station, ref, json.dumps({"jobId": job_id}).encode())
    station.until(lambda: station.state(job_id) == "finished")
    assert posts(station) == 1


def test_a_callback_without_an_id_leads_to_a_person_who_is_told_what_to_do(station: Any, redis: Redis) -> None:
    ref, url = station.services.links.callback_url(metadata={"a": 1})
    assert read_token(url.rpartition("/")[2], station.services.keyring.callback_secrets()) == ref
    hear(station, ref, b"done")
    overdue(station, ref)
    station.turn()
    view = station.view(ref)
    assert view.summary.state == "parked"
    assert "PUT /api/jobs/<id>" in view.summary.reason
    job_id = station.submit()
    redis.delete(f"sr:job:{job_id}")
    assert station.services.links.watch(job_id, ref) == "new"
    assert station.services.redis.hget(f"sr:job:{job_id}", "metadata") == b'{"a":1}'
    station.until(lambda: station.state(job_id) == "finished")


def test_a_job_of_somebody_else_is_watched(station: Any) -> None:
    job_id = station.submit()
    assert station.services.links.watch(job_id) == "known"
    for job, ref in (("a/b", None), ("job_1", "short"), ("job_1", "")):
        with pytest.raises(InvalidInput):
            station.services.links.watch(job, ref)
    with pytest.raises(Conflict, match=job_id):
        station.services.links.watch("another", station.view(job_id).summary.ref)


def test_the_shared_url_is_for_no_job_in_particular(station: Any) -> None:
    token = station.services.links.shared_url().rpartition("/")[2]
    assert read_token(token, station.services.keyring.callback_secrets()) == SHARED


# Callbacks that come before the answer


@contextmanager
def door(heard: Callable[[str, bytes], None]) -> Iterator[str]:
    """Take callbacks as the web process does: yields its URL, calls ``heard`` with the token and the body."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            heard(self.path.rpartition("/")[2], body)
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("form", ["whole", "empty"])
def test_a_callback_may_come_before_the_answer(make_station: MakeStation, form: str) -> None:
    stations: list[Any] = []

    def heard(token: str, body: bytes) -> None:
        hear(stations[0], read_token(token, stations[0].services.keyring.callback_secrets()), body)

    with door(heard) as url:
        stations.append(make_station({"webhook_bodies": form}, PUBLIC_URL=url))
        (station,) = stations
        sent = station.services.submissions.submit(order("early-calls"))
        assert station.sandbox.books()["callbacks"][0]["status"] == 202
        assert station.state(sent.job_id) == "fetching"
        station.until(lambda: station.state(sent.job_id) == "finished")
    assert "callback" in station.events(sent.job_id)
    assert posts(station) == 1


def test_redis_goes_away_while_the_job_is_made_and_nothing_is_withdrawn(
    make_station: MakeStation, tmp_path: Path
) -> None:
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    with door(lambda *_: server.stop()) as url, Redis.from_url(server.url) as redis:
        station = make_station(PUBLIC_URL=url)
        services = build(station.services.settings, redis)
        with pytest.raises(LedgerUnavailable) as caught:
            services.submissions.submit(order("early-calls"), idempotency_key="k")
        ref = caught.value.values["ref"]
        server.start()
        assert services.ledger.exists(RefSubject(ref))
        again = services.submissions.submit(order("early-calls"), idempotency_key="k")
        assert (again.ref, again.replayed, again.state) == (ref, True, "waiting")
        (job_id,) = station.sandbox.books()["jobs"]
        answer = services.ledger.accept(
            ref=ref, job_id=job_id, receipt="r", digest="d", meta={"hint": job_id}, body=b""
        )
        assert answer.outcome == "new"
    server.stop()
    assert posts(station) == 1


def test_who_was_frozen_withdraws_nothing_that_a_worker_has_in_hand(
    make_station: MakeStation, redis: Redis, eventually: Callable[..., Any]
) -> None:
    """A web process falls asleep while it waits for its turn; when it wakes up, its patience is over."""
    station = make_station(SWIFTIA_RATE_LIMIT="2/300ms")
    services = station.services
    held = [str(services.budget.take("fetch", f"c{n}")) for n in range(2)]
    refs: list[str] = []

    def asleep(_seconds: float) -> None:
        refs.extend(key.decode().removeprefix("sr:ref:") for key in redis.keys("sr:ref:*"))
        for slot in held:
            services.budget.settle(slot)
        redis.delete("sr:budget:slots", "sr:budget:claims")
        overdue(station, refs[0])
        station.sandbox.configure(slow=1.0, slow_seconds=1.0, fault_routes="POST /api/jobs")
        worker.start()
        eventually(lambda: redis.hget(f"sr:ref:{refs[0]}", "state") == b"submitting")
        services.budget.take("fetch", "d")

    worker = threading.Thread(target=station.turn)
    moments = iter([0.0, 0.0, 100.0])
    chance = Chance(new_ref=lambda: "f" * 22, now=lambda: next(moments), sleep=asleep)
    settings = services.settings.model_copy(update={"submit_patience": 30.0})
    frozen = build(settings, redis, chance=chance).submissions
    sent = frozen.submit(order(), idempotency_key="k")
    assert (sent.ref, sent.job_id, sent.state) == (refs[0], None, "waiting")
    worker.join()
    again = services.submissions.submit(order(), idempotency_key="k")
    assert (again.replayed, again.job_id) == (True, next(iter(station.sandbox.books()["jobs"])))
    assert posts(station) == 1
