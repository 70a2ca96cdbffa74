"""Sending one event: signed so that the libraries of others can verify it, and only to where it may go."""

import base64
import ipaddress
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from tests.targets import target
from workers.deliveries import Reply
from workers.destinations import Destinations
from workers.events import Event, Later, Unwanted, read_event
from workers.guarded import guarded_client
from workers.identifiers import DeliverySubject, JobSubject, RefSubject
from workers.signing import parse_secret

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
EVENT = Event("msg_1", "job.finished", "2026-11-24T10:00:00.000Z", "job_1", "r" * 22, None, {"a": "é"}, {"renders": {}})


def destinations(*, trusted: Any = LOOPBACK, timeout_s: float = 5.0, **how: Any) -> Destinations:
    options: dict[str, Any] = {"urls": {}, "secrets": {"": [parse_secret(NEW), parse_secret(OLD)]}, "handler": None}
    client = guarded_client(trusted=trusted, total_s=timeout_s, **how.pop("client", {}))
    return Destinations(client, timeout_s=timeout_s, now=time.time, clock=time.monotonic, **(options | how))


def svix_webhook(secret: str) -> Any:
    import svix  # noqa: PLC0415 - it takes a second, of every process that collects the tests

    return svix.Webhook(secret)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_libraries_of_others_verify_what_is_sent_with_the_old_secret_and_the_new_one(secret: str) -> None:
    with target() as app:
        assert destinations().send(EVENT, url=f"{app.url}/hooks?from=swiftia") == Reply(204)
    (received,) = app.received
    assert received.path == "/hooks?from=swiftia"
    assert received.headers["content-type"] == "application/json"
    assert received.payload == {
        "type": "job.finished",
        "timestamp": "2026-11-24T10:00:00.000Z",
        "data": {"id": "job_1", "ref": "r" * 22, "metadata": {"a": "é"}, "renders": {}},
    }
    for library in (standardwebhooks.Webhook, svix_webhook):
        library(secret).verify(received.body, received.headers)
        with pytest.raises(Exception, match=r"(?i)no matching signature"):
            library(secret).verify(received.body + b" ", received.headers)


def test_each_account_has_its_own_address_and_secret_and_a_job_may_have_its_own() -> None:
    with target() as ours, target() as theirs:
        sent = destinations(
            urls={"": f"{ours.url}/all", "acme": f"{theirs.url}/acme"},
            secrets={"": [parse_secret(OLD)], "acme": [parse_secret(NEW)]},
        )
        acme = Event("msg_2", "job.failed", "", "job_2", None, "acme", None, {})
        assert sent.send(EVENT, url=None) == sent.send(acme, url=None) == Reply(204)
        assert sent.send(acme, url=f"{ours.url}/own") == Reply(204)
    assert [one.path for one in ours.received] == ["/all", "/own"]
    assert [one.path for one in theirs.received] == ["/acme"]
    svix_webhook(NEW).verify(theirs.received[0].body, theirs.received[0].headers)
    svix_webhook(NEW).verify(ours.received[1].body, ours.received[1].headers)


@pytest.mark.parametrize(("status", "over"), [(200, False), (302, False), (410, True), (429, False), (500, False)])
def test_answers_are_judged_and_redirects_are_not_followed(status: int, over: bool) -> None:  # noqa: FBT001 - pytest passes it
    with target() as elsewhere, target(lambda _: (status, {"Location": elsewhere.url, "Retry-After": "7"})) as app:
        reply = destinations().send(EVENT, url=app.url)
    assert (reply.status, reply.over, reply.problem == "") == (status, over, status == 200)
    assert reply.wait_s == (7 if status in (429, 500) else 0)
    assert elsewhere.received == []


def test_a_target_that_hangs_or_is_not_there_is_a_reply() -> None:
    with target(lambda _: (time.sleep(2), (200, {}))[1]) as app:
        assert "did not answer within 0.3 s" in destinations(timeout_s=0.3).send(EVENT, url=app.url).problem
    assert "cannot be reached" in destinations().send(EVENT, url=app.url).problem


def test_without_an_address_or_a_secret_nothing_is_sent() -> None:
    assert "no DELIVERY_URL" in destinations().send(EVENT, url=None).problem
    with target() as app:
        assert "no secret" in destinations(secrets={}).send(EVENT, url=app.url).problem
    assert app.received == []


# Addresses that must not be connected to


def hosts() -> list[str]:
    """One hundred ways to name an address that is nobody's business."""
    v4 = ["127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "169.254.169.254",
          "100.64.0.1", "0.0.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.9", "224.0.0.1", "240.0.0.1",
          "255.255.255.255", "192.88.99.1", "168.63.129.16"]  # fmt: skip
    mapped = [ipaddress.ip_address(address) for address in v4]
    wrapped = [
        text
        for address in mapped
        for text in (
            f"[::ffff:{address}]",
            f"[64:ff9b::{address}]",
            f"[2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1]",
            f"[::{address}]",
        )
    ]
    v6 = ["[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[2001::1]",
          "[64:ff9b:1::a00:1]", "[100::1]", "[fec0::1]", "[3fff::1]", "[5f00::1]"]  # fmt: skip
    odd = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"]
    return [*v4, *wrapped, *v6, *odd]


def test_a_hundred_addresses_are_refused() -> None:
    vectors = hosts()
    assert len(set(vectors)) >= 100
    sending = destinations(trusted=(), timeout_s=2)
    for host in vectors:
        problem = sending.send(EVENT, url=f"http://{host}/").problem
        assert "is not connected to" in problem or "cannot be resolved" in problem or "InvalidURL" in problem, host


@pytest.mark.parametrize("second", ["127.0.0.1", "10.0.0.1"])
def test_a_name_that_resolves_to_something_else_the_second_time_gains_nothing(second: str) -> None:
    answers = iter(["93.184.216.34", second, second])
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (next(answers), port))]

    sending = destinations(trusted=(), timeout_s=0.2, client={"resolve": resolve, "connect_s": 0.1})
    sending.send(EVENT, url="http://rebinding.example/")
    assert asked == ["rebinding.example"]
    assert f"{second} is" in sending.send(EVENT, url="http://rebinding.example/").problem


# Handlers


def replies(handler: Callable[[Event], object]) -> Reply:
    return destinations(handler=handler).send(EVENT, url=None)


def test_a_handler_takes_it_or_says_what_is_to_become_of_it() -> None:
    heard: list[Event] = []
    assert replies(heard.append) == Reply(None)
    assert heard == [EVENT]

    def later(_: Event) -> None:
        raise Later("the database is down", seconds=40)

    def never(_: Event) -> None:
        raise Unwanted("not ours")

    def broken(event: Event) -> None:
        event.data["nothing"]

    assert replies(later) == Reply(None, "the handler said later: the database is down", wait_s=40)
    assert replies(never).over
    assert replies(broken).problem == "the handler failed: KeyError: 'nothing'"
    assert not replies(broken).over


# What is told

facts = st.text(max_size=50)
names = st.sampled_from(["title", "cost", "created", "ref", "account"])


@given(job=st.dictionaries(names, facts, max_size=5), reason=facts, n=st.integers(1, 99))
def test_an_event_is_made_of_whatever_the_ledger_holds(job: dict[str, str], reason: str, n: int) -> None:
    job = {**job, "metadata": '{"a":[1,2]}'}
    told = json.dumps({"reason": reason})
    fields = {"id": "msg_1", "event": "job.failed", "created": "1800000000000", "facts": told}
    for owner in (JobSubject("job_1"), RefSubject("r" * 22)):
        event = read_event(DeliverySubject(owner, n), fields, job)
        assert event.as_bytes() == event.as_bytes()
        assert event.as_json()["type"] == "job.failed"
        assert (event.metadata, event.data["reason"]) == ({"a": [1, 2]}, reason)
        assert (event.job_id is None) == isinstance(owner, RefSubject)


def test_a_render_keeps_the_json_type_of_its_short() -> None:
    for short in ('{"id":7,"title":"x"}', '{"id":"7","title":"x"}', '{"id":12345678901234567890,"title":"x"}'):
        told = read_event(
            DeliverySubject(JobSubject("job_1"), 2),
            {"id": "msg_1", "event": "render.kept", "created": "1", "facts": json.dumps({"n": 2, "short": short})},
            {},
        ).as_bytes()
        assert short.encode() in told
        assert b'"file":"/api/jobs/job_1/renders/2/file"' in told
