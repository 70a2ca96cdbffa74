"""``GET /metrics`` as Prometheus reads it, from real Valkey and a real spool."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from receiver.app import create_app
from receiver.tally import REFUSED, TAKEN
from tests.refusing import read_only
from workers import keys
from workers.budget import NoSlot
from workers.connections import web_redis
from workers.errors import CredentialsRefused, RateLimited, UpstreamUnavailable
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.services import Services
from workers.settings import Settings
from workers.standing import CAUSES
from workers.states import JobState
from workers.valkey import EmbeddedValkey
from workers.window import FAULTS
from workers.wiring import build
from workers.work import CLASSES, LANE_OF_CLASS, LANES, UPSTREAM

ADMIN = "an-admin-token-of-tests"
REF = "r" * 22
PREFIX = "swiftia_receiver_"
PARKABLE = {
    *(f"{state}|job" for state in ("waiting", "fetching", "rendering")),
    *(f"{state}|render" for state in ("planned", "starting", "queued", "rendering", "keeping")),
    *(f"{state}|submission" for state in ("open", "queued", "submitting")),
    "pending|delivery",
}
# What is known without Redis.
OF_THIS_MACHINE = {
    *("redis_up", "spool_callbacks", "spool_bytes", "storage_free_bytes", "storage_paused"),
    *("callbacks", "callbacks_refused", "callback_accept_seconds"),
}

Found = dict[str, dict[str, float]]


def scraped(client: FlaskClient) -> Found:
    """Each metric's samples by the values of their labels, joined by a bar; of a histogram how many there are."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    found: Found = {}
    for family in text_string_to_metric_families(answer.text):
        name = family.name.removeprefix(PREFIX)
        assert family.name != name
        assert family.documentation
        counted = family.name + {"gauge": "", "counter": "_total", "histogram": "_count"}[family.type]
        values = found.setdefault(name, {})
        for sample in family.samples:
            label = "|".join(sample.labels.values())
            if family.type == "histogram" and sample.name != counted:
                continue
            assert label not in values
            assert sample.name == counted
            values[label] = sample.value
    return found


def buckets(client: FlaskClient, name: str, **labels: str) -> dict[str, float]:
    """A histogram's cumulative counts by their bounds, and its sum."""
    (family,) = (f for f in text_string_to_metric_families(client.get("/metrics").text) if f.name == PREFIX + name)
    found = {}
    for sample in family.samples:
        rest = {key: value for key, value in sample.labels.items() if key != "le"}
        if rest == labels and not sample.name.endswith("_count"):
            found[sample.labels.get("le", "sum")] = sample.value
    return found


def accept(ledger: Ledger, job: str, receipt: str = "rc1") -> None:
    ledger.accept(ref="", job_id=job, receipt=receipt, digest=receipt, meta={"from": "192.0.2.1"}, body=b"{}")


def end(ledger: Ledger, job: str, state: str) -> None:
    record = ledger.claim(JobSubject(job), "fetch")
    assert record is not None
    assert ledger.move(record, state, reason="a test says so", fields={"title": "A secret talk"})


@pytest.fixture
def without_redis(env: dict[str, str]) -> FlaskClient:
    client = create_app(build(Settings.from_env(env), Redis(port=1, retry=None))).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
    return client


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=1.0.0", "text/html", "\xff;;q=x,,/"])
def test_the_format_is_the_one_that_every_prometheus_reads(api, accept):
    answer = api.get("/metrics", headers={"Accept": accept})
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.text.endswith("\n")


def test_who_asks_for_openmetrics_gets_the_same_numbers_so(api, services):
    accept(services.ledger, "job_1")
    accepted = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    answer = api.get("/metrics", headers={"Accept": accepted})
    assert answer.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    strict = {family.name: len(family.samples) for family in openmetrics.text_string_to_metric_families(answer.text)}
    plain = text_string_to_metric_families(api.get("/metrics").text)
    assert strict == {family.name: len(family.samples) for family in plain}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", ADMIN, f"Basic {ADMIN}"])
def test_only_who_holds_the_token_may_read_it(client, redis, header):
    answer = client.get("/metrics", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert PREFIX not in answer.text
    assert redis.dbsize() == 0


def test_a_service_that_has_done_nothing(api):
    nothing = {
        "redis_up": {"": 1},
        "callbacks": dict.fromkeys(TAKEN, 0),
        "callbacks_refused": dict.fromkeys(REFUSED, 0),
        "callback_accept_seconds": {"": 0},
        "callback_to_result_seconds": {"": 0},
        "callback_to_kept_seconds": {"": 0},
        "delivered_seconds": {"": 0},
        "render_polls": {"": 0},
        "step_seconds": {},
        "upstream_requests": {},
        "upstream_request_seconds": {},
        "deliveries": {"delivered": 0, "retried": 0, "parked": 0},
        "parked": dict.fromkeys(PARKABLE, 0),
        "kept_bytes": {"result": 0, "video": 0},
        "spool_callbacks": {"": 0},
        "spool_bytes": {"": 0},
        "jobs": dict.fromkeys(JobState, 0),
        "due": dict.fromkeys(LANE_OF_CLASS, 0),
        "due_overdue_seconds": dict.fromkeys(LANE_OF_CLASS, 0),
        "clock_age_seconds": dict.fromkeys(LANES, math.inf),
        "upstream_storage_used_percent": {},
        "archive_soon": {"": 0},
        "events": {},
        "renders_unsure": {"": 0},
        "deliveries_parked": {"": 0},
        "budget_used": {"": 0},
        "budget_allowed": {"": 1000},
        "budget_margin_seconds": {"": 0},
        "budget_pause_seconds": {"": 0},
        "budget_waiting": dict.fromkeys(CLASSES[UPSTREAM], 0),
        "budget_slots": dict.fromkeys(CLASSES[UPSTREAM], 0),
        "breaker_open": {"": 0},
        "credentials_ok": {"": 1},
        "upstream_refused": dict.fromkeys(CAUSES, 0),
    }
    found = scraped(api)
    assert found.pop("storage_free_bytes")[""] > 0
    assert found == {**nothing, "storage_paused": {"": 0}}


def test_jobs_by_state_and_what_is_due(api, services):
    ledger = services.ledger
    for job in ("job_1", "job_2", "job_3", "job_4"):
        accept(ledger, job)
    end(ledger, "job_3", "parked")
    end(ledger, "job_4", "finished")
    ledger.link(REF, "job_5", first_ms=600_000, by="api")
    found = scraped(api)
    expected = {"waiting": 1, "fetching": 2, "rendering": 0, "finished": 1, "failed": 0, "parked": 1}
    assert found["jobs"] == expected
    assert found["due"] == {**dict.fromkeys(LANE_OF_CLASS, 0), "fetch": 2, "reconcile": 1}
    assert set(found["due_overdue_seconds"].values()) == {0}, "all of it has time"


def test_how_late_the_oldest_is(api, services, redis):
    seconds, _ = redis.time()
    for job, ago in (("job_1", 10), ("job_2", 400), ("job_3", 90)):
        redis.zadd(keys.due("watch"), {job: (seconds - ago) * 1000})
    accept(services.ledger, "job_4")
    late = scraped(api)["due_overdue_seconds"]
    assert late["watch"] == pytest.approx(400, abs=20)
    assert {name: late[name] for name in LANE_OF_CLASS if name != "watch"} == {
        name: 0 for name in LANE_OF_CLASS if name != "watch"
    }


def test_every_class_of_every_lane_is_there(api):
    assert set(scraped(api)["due"]) == {name for lane in LANES for name in CLASSES[lane]} | {"deliver"}


def test_deliveries_that_wait_and_those_that_were_given_up(build_services, admin_of):
    services = build_services(DELIVERY_URL="https://app.example.org/", DELIVERY_EVENTS="job.finished")
    for job in ("job_1", "job_2", "job_3"):
        accept(services.ledger, job)
        end(services.ledger, job, "finished")
    record = services.ledger.take_delivery([])
    services.ledger.move(record, "parked", reason="a test says so")
    found = scraped(admin_of(create_app(services)))
    assert (found["due"]["deliver"], found["deliveries_parked"]) == (2, {"": 1})


def test_what_happened_is_counted_to_jobs_erased_since_as_well(api, services):
    for job in ("job_1", "job_2"):
        accept(services.ledger, job)
    accept(services.ledger, "job_2", receipt="rc2")
    end(services.ledger, "job_1", "parked")
    expected = {"known": 2, "callback": 3, "parked": 1}
    assert scraped(api)["events"] == expected
    assert services.ledger.erase(JobSubject("job_1"))
    assert scraped(api)["events"] == expected


def test_events_are_counted_and_an_unsure_render_on_its_own_too(api, redis):
    redis.hset(keys.COUNTS, mapping={"callback": 12, "render.unsure": 2, "put_back": 1})
    found = scraped(api)
    assert found["events"] == {"callback": 12, "render.unsure": 2, "put_back": 1}
    assert found["renders_unsure"] == {"": 2}


@pytest.mark.parametrize("name", [b"", b'a"} 1', b"a\nevil 1", b"Event", b"job_1", b"\xff", "é".encode(), b"a" * 65])
def test_a_name_that_is_none_of_ours_is_left_out(api, redis, name):
    redis.hset(keys.COUNTS, mapping={name: 1, b"known": 3})
    assert scraped(api)["events"] == {"known": 3}


@pytest.mark.parametrize("count", [b"", b"many", b"-1", b"1.5", b"nan", b"\xd9\xa3", b"9" * 400])
def test_a_count_that_is_none_is_left_out(api, redis, count):
    redis.hset(keys.COUNTS, mapping={b"callback": count, b"render.unsure": count, b"known": 3})
    found = scraped(api)
    assert found["events"] == {"known": 3}
    assert found["renders_unsure"] == {"": 0}


def test_how_long_ago_the_clock_passed(api, redis):
    seconds, _ = redis.time()
    redis.hset(keys.CLOCK, LANES[0], (seconds - 40) * 1000)
    ages = scraped(api)["clock_age_seconds"]
    assert ages[LANES[0]] == pytest.approx(40, abs=20)
    assert ages[LANES[1]] == math.inf


def test_the_budget(api, services):
    services.budget.take("submit", "a-test")
    found = scraped(api)
    assert (found["budget_used"], found["budget_allowed"]) == ({"": 1}, {"": 1000})
    assert found["budget_slots"] == {**dict.fromkeys(CLASSES[UPSTREAM], 0), "submit": 1}


def test_a_429_and_a_refused_key(api, services, eventually):
    with pytest.raises(RateLimited), services.budget.slot("submit", "a-test"):
        raise RateLimited("too many", retry_after=0)
    assert 0 < scraped(api)["budget_pause_seconds"][""] <= 1
    eventually(lambda: services.budget.peek().pause_s == 0)
    with contextlib.suppress(CredentialsRefused), services.budget.slot("submit", "a-test"):
        raise CredentialsRefused("no")
    found = scraped(api)
    assert found["upstream_refused"] == {"ours": 0, "stranger": 1, "shrunk": 0}
    assert (found["breaker_open"], found["credentials_ok"]) == ({"": 0}, {"": 0})
    assert 25 < found["budget_pause_seconds"][""] <= 30


def test_an_open_breaker(api, services):
    for n in range(FAULTS):
        with contextlib.suppress(UpstreamUnavailable), services.budget.slot("submit", f"test-{n}"):
            raise UpstreamUnavailable("no answer", sent=True)
    with pytest.raises(NoSlot), services.budget.slot("watch", "a-test"):
        pytest.fail("nothing may be sent")
    found = scraped(api)
    assert found["breaker_open"] == {"": 1}
    assert found["budget_waiting"] == {**dict.fromkeys(CLASSES[UPSTREAM], 0), "watch": 1}


def test_without_redis_the_spool_is_told_all_the_same(without_redis, job_url):
    without_redis.post(job_url, data=b"x" * 1000)
    found = scraped(without_redis)
    assert set(found) == OF_THIS_MACHINE
    assert found["redis_up"] == {"": 0}
    assert found["spool_callbacks"] == {"": 1}
    assert found["spool_bytes"][""] > 1000


def test_a_redis_that_takes_no_writes_is_not_up(api, redis):
    with read_only(redis):
        assert scraped(api)["redis_up"] == {"": 0}


def test_without_a_disk_the_rest_is_told(api, services, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").write_text("a file where a folder must be")
    accept(services.ledger, "job_1")
    found = scraped(api)
    assert found["jobs"]["fetching"] == 1
    assert not set(found) & {"spool_callbacks", "spool_bytes"}


def test_a_redis_that_cannot_be_read_is_no_fault_of_the_page(api, redis):
    redis.set(keys.jobs_in("parked"), "no sorted set")
    found = scraped(api)
    assert set(found) == OF_THIS_MACHINE
    assert found["redis_up"] == {"": 0}


def test_a_redis_that_hangs_holds_one_scrape_and_not_the_next(env, tmp_path):
    server = EmbeddedValkey(tmp_path / "valkey")
    server.start()
    try:
        with contextlib.closing(web_redis(server.url)) as redis:
            client = create_app(build(Settings.from_env(env), redis)).test_client()
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
            assert scraped(client)["redis_up"] == {"": 1}
            os.kill(server.pid or 0, signal.SIGSTOP)
            took = []
            for _ in range(2):
                began = time.monotonic()
                assert set(scraped(client)) == OF_THIS_MACHINE
                took.append(time.monotonic() - began)
            assert took[0] < 8, "Prometheus gives up after 10 s"
            assert took[1] < 1, "less than it takes to find out that the server hangs"
            os.kill(server.pid or 0, signal.SIGCONT)
    finally:
        server.stop()


def test_it_tells_of_nobody(api, services, env, job_url):
    accept(services.ledger, "job_named_so")
    end(services.ledger, "job_named_so", "parked")
    api.post(job_url, data=b'{"phone": "+4915112345678"}')
    text = api.get("/metrics").text
    assert 'state="fetching",subject="job"' in text
    hidden = (ADMIN, env["CALLBACK_KEYS"], env["SWIFTIA_API_KEY"], "job_named_so", "talk", REF, "rc1", "192.0.2", "+49")
    assert [secret for secret in hidden if secret in text] == []


def commands(redis: Redis, ask: Callable[[], object]) -> dict[str, int]:
    redis.config_resetstat()
    ask()
    # XREAD is the application's own ear for changes, which listens whether somebody asks or not.
    others = {"cmdstat_info", "cmdstat_xread"}
    return {name: stats["calls"] for name, stats in redis.info("commandstats").items() if name not in others}


def test_it_costs_the_same_however_many_jobs_there_are(api, services: Services, redis):
    def ask() -> Found:
        return scraped(api)

    ask()  # the scripts are loaded by now
    few = commands(redis, ask)
    for n in range(300):
        accept(services.ledger, f"job_{n}")
    assert commands(redis, ask) == few
    assert few["cmdstat_zcard"] == len(JobState) + len(LANE_OF_CLASS)
    assert not {"cmdstat_keys", "cmdstat_scan"} & set(few)


@pytest.mark.parametrize("state", ["waiting", "fetching", "rendering", "parked"])
def test_what_is_about_to_be_archived(api, redis, state):
    now_ms, day_ms = redis.time()[0] * 1000, 86_400_000
    ages = {"young": 82.9, "soon": 83.1, "last": 89.9, "gone": 90.1}
    redis.zadd(f"sr:jobs:{state}", {name: now_ms - age * day_ms for name, age in ages.items()})
    for ended in ("finished", "failed"):
        redis.zadd(f"sr:jobs:{ended}", {"job_9": now_ms - 85 * day_ms})
    assert scraped(api)["archive_soon"] == {"": 2}


def test_the_archive_follows_the_setting(redis, build_services, admin_of):
    redis.zadd("sr:jobs:parked", {"job_1": redis.time()[0] * 1000 - 25 * 86_400_000})
    client = admin_of(create_app(build_services(ARCHIVE_DAYS="30")))
    assert scraped(client)["archive_soon"] == {"": 1}
