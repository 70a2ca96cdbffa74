"""The door through Flask, on real Valkey: who is let in, what is kept, and what is answered."""

import base64
import hashlib
import itertools
import time

import pytest
from redis import Redis

from receiver.app import create_app
from workers import keys
from workers.identifiers import JobSubject, RefSubject
from workers.settings import Settings
from workers.signing import parse_secret, sign
from workers.tokens import token
from workers.wiring import build

REF = "r" * 22
OLD_KEY = "an-older-callback-key-of-tests"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def post(client, url, body=b"{}", **headers):
    return client.post(url, data=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b"\xff\x00\xfe", "application/octet-stream"),
        (b"a=1&b=2", "application/x-www-form-urlencoded"),
        (b"[" * 5000, "application/json"),
        (b'{"shorts":[{"id":1}]}', "text/plain"),
    ],
)
def test_with_a_token_of_its_own_any_body_is_taken(client, job_url, services, body, content_type):
    answer = post(client, job_url, body, **{"Content-Type": content_type})
    assert answer.status_code == 202
    assert answer.json["outcome"] == "new"
    assert services.ledger.take_bodies(RefSubject(REF)) == {answer.json["receipt"]: body}


def test_a_trailing_slash_is_the_same_door(client, job_url):
    assert post(client, job_url + "/").status_code == 202


def test_a_callback_that_names_its_job_makes_it_due(client, job_url, services, redis):
    post(client, job_url, b'{"id":"job_1","status":"completed"}')
    view = services.catalog.find(REF)
    assert view.subject == JobSubject("job_1")
    # Its word about the status is not believed.
    assert view.summary.state == "fetching"
    assert view.summary.upstream_status is None
    assert redis.zscore(keys.due("fetch"), "job_1") is not None


def test_the_same_body_twice_is_one_callback(client, job_url):
    first, second = post(client, job_url, b"{}"), post(client, job_url, b"{}")
    assert (first.status_code, second.status_code) == (202, 202)
    assert (first.json["outcome"], second.json["outcome"]) == ("new", "duplicate")
    assert first.json["receipt"] == second.json["receipt"]


def test_what_is_noted_of_a_callback(client, job_url, services):
    post(client, job_url, b'{"id":"job_1"}', **{"Content-Type": "x" * 500, "User-Agent": "y" * 500})
    (meta,) = services.ledger.callbacks(JobSubject("job_1"))
    assert meta["from"] == "127.0.0.1"
    assert meta["size"] == 14
    assert meta["type"] == "x" * 100
    assert meta["agent"] == "y" * 200
    assert meta["hint"] == "job_1"


@pytest.mark.parametrize(("proxies", "sender"), [("", "127.0.0.1"), ("127.0.0.0/8,10.0.0.0/8", "192.0.2.1")])
def test_a_callback_comes_from_where_a_trusted_proxy_says(build_services, job_url, proxies, sender):
    services = build_services(TRUSTED_PROXIES=proxies)
    headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.1, 10.0.0.7"}
    post(create_app(services).test_client(), job_url, b'{"id":"job_1"}', **headers)
    (meta,) = services.ledger.callbacks(JobSubject("job_1"))
    assert meta["from"] == sender


def test_receipts_sort_by_time(services, job_url):
    ticks = itertools.count(1_800_000_000.0)
    client = create_app(services, now=lambda: next(ticks)).test_client()
    receipts = [post(client, job_url, b"%d" % n).json["receipt"] for n in range(5)]
    assert receipts == sorted(receipts)
    assert len(set(receipts)) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        "shared",
        "shared.",
        "shared.x",
        REF,
        f"{REF}.",
        f"{REF}.AAAA",
        f"{REF}.{'A' * 43}",
        "%00",
        "ä",
        "%ff.x",
        "." * 500,
    ],
)
def test_a_wrong_token_is_refused_and_changes_nothing(client, redis, wrong):
    answer = post(client, f"/webhooks/swiftia/{wrong}", b'{"id":"job_1"}')
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert redis.dbsize() == 0


def test_the_token_comes_before_the_body(client):
    answer = post(client, "/webhooks/swiftia/wrong", b"x" * 20_000)
    assert answer.status_code == 401


def test_a_token_of_another_ref_does_not_open(client, job_url):
    assert post(client, job_url.replace("rrr", "sss")).status_code == 401


def test_keys_are_rotated_without_loss(build_services):
    services = build_services(CALLBACK_KEYS=f"a-fresh-callback-key-of-tests,{OLD_KEY}")
    client = create_app(services).test_client()
    assert post(client, f"/webhooks/swiftia/{token(REF, [OLD_KEY])}").status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"job_1"}',
        b'{"jobId":"job_1"}',
        b'{"job_id":"job_1"}',
        b'{"job":{"id":"job_1"}}',
        b'{"data":{"jobId":"job_1"}}',
        b'{"payload":{"id":"job_1"}}',
    ],
)
def test_the_shared_url_finds_the_job_in_the_body(client, shared_url, services, body):
    assert post(client, shared_url, body).status_code == 202
    assert services.catalog.job("job_1").summary.state == "fetching"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"nothing", b'{"id":"../../etc"}', b'{"id":7}', b'{"id":"' + b"a" * 129 + b'"}']
)
def test_the_shared_url_without_an_id_is_unidentifiable_but_kept(client, shared_url, redis, body):
    answer = post(client, shared_url, body)
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    (kept,) = redis.lrange(keys.UNIDENTIFIED, 0, -1)
    meta, _, kept_body = kept.partition(b"\n")
    assert kept_body == body
    assert answer.json["receipt"].encode() in meta
    assert redis.keys("sr:job*") == []


def test_a_job_that_was_erased_stays_erased(client, shared_url, services):
    post(client, shared_url, b'{"id":"job_1"}')
    services.ledger.erase(JobSubject("job_1"))
    answer = post(client, shared_url, b'{"id":"job_1"}')
    assert (answer.status_code, answer.json["outcome"]) == (202, "erased")
    assert services.catalog.job("job_1") is None


@pytest.mark.parametrize(("size", "status"), [(10_000, 202), (10_001, 413), (50_000, 413)])
def test_the_size_is_limited_to_the_byte(client, job_url, redis, size, status):
    answer = post(client, job_url, b"x" * size)
    assert answer.status_code == status
    assert (redis.dbsize() == 0) is (status == 413)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_told_so(client, job_url, redis, method):
    answer = client.open(job_url, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.content_type == "application/problem+json"
    assert redis.dbsize() == 0


@pytest.mark.parametrize(
    "path", ["/webhooks/swiftia", "/webhooks/swiftia/", "/webhooks/swiftia/a/b", "//webhooks//swiftia/a"]
)
def test_there_is_no_redirect_anywhere_near(client, path):
    assert client.post(path).status_code == 404


def signed(body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    return sign(body, event_id="evt_1", at=moment, secrets=[parse_secret(secret)])


def test_with_signing_secrets_a_signature_is_needed_as_well(build_services, job_url, redis):
    client = create_app(build_services(WEBHOOK_SIGNING_SECRETS=SECRET)).test_client()
    assert post(client, job_url, b"{}").status_code == 401
    assert post(client, job_url, b"{}", **signed(b"other")).status_code == 401
    assert post(client, job_url, b"{}", **signed(b"{}", at=time.time() - 4000)).status_code == 401
    assert redis.dbsize() == 0
    assert post(client, job_url, b"{}", **signed(b"{}")).status_code == 202


def test_without_redis_and_spool_the_sender_is_asked_to_come_again(env, job_url):
    services = build(Settings.from_env({**env, "SPOOL_MAX_BYTES": "100"}), Redis(port=1, retry=None))
    answer = post(create_app(services).test_client(), job_url)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.content_type == "application/problem+json"
    assert "127.0.0.1" not in answer.text
    assert "Connection" not in answer.text


def test_bodies_are_told_apart_by_their_sha256(client, job_url, redis):
    post(client, job_url, b"abc")
    assert redis.hexists(keys.seen(RefSubject(REF)), hashlib.sha256(b"abc").hexdigest())
