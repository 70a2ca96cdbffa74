import json
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from tests.workers.scripted import answer, sending, serving
from workers.errors import (
    CredentialsRefused,
    InvalidInput,
    InvalidSettings,
    LedgerUnavailable,
    RateLimited,
    TooLarge,
    UnreadableAnswer,
    UpstreamRefused,
    UpstreamUnavailable,
)
from workers.renders import RenderPhase, render_request
from workers.results import Phase
from workers.swiftia import MAX_SMALL_BYTES, Swiftia, wire
from workers.uploads import Uploads

SAMPLES = Path(__file__).parents[1] / "samples"
KEY = "key-that-nobody-may-see"
JOB = "job_7Qa1"
OK = b'{"id": "job_7Qa1", "status": "PROCESSING"}'
# Reading the system's certificates takes 40 ms each time.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


class Upstream:
    """Answers what it is told to and remembers what it was asked."""

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.answers = []

    def at(self, server, *, max_result_bytes=10_000, answered=None, base=""):
        """Take the place of who answered there before."""
        server.script, server.requests = self.script, self.requests
        return self.of(server.url + base, max_result_bytes=max_result_bytes, answered=answered)

    def of(self, url, *, max_result_bytes=10_000, answered=None):
        ticks = iter(range(100))
        return Swiftia(
            wire(url, KEY, ssl_context=NO_TLS),
            key=KEY,
            max_result_bytes=max_result_bytes,
            answered=answered or self.answers.append,
            clock=lambda: float(next(ticks)),
        )


def answering(status, body=b"", **headers):
    return Upstream(answer(status, body if isinstance(body, bytes) else json.dumps(body).encode(), **headers))


def sample(name):
    (head,) = (SAMPLES / name).glob("*.json")
    return answering(int(head.stem), (SAMPLES / name / "body").read_bytes(), **json.loads(head.read_text()))


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("created_*")))
def test_a_job_is_created(server, name):
    upstream = sample(name)
    body = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk", "webhook": "https://hooks.example.org/x"}
    assert upstream.at(server).create_job(body) == JOB
    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/api/jobs")
    assert request.json() == body
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(request.body))


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("job_*")))
def test_a_job_is_read_and_its_bytes_are_kept(server, name):
    upstream = sample(name)
    result, raw = upstream.at(server).job(JOB)
    assert result.phase in Phase
    assert raw == (SAMPLES / name / "body").read_bytes()
    assert upstream.requests[0].path == f"/api/jobs/{JOB}"


def test_a_render_is_started(server):
    upstream = sample("render_started")
    assert upstream.at(server).start_render(render_request(JOB, 1)) == "rnd_55"
    assert (upstream.requests[0].method, upstream.requests[0].path) == ("POST", "/api/render")
    assert upstream.requests[0].json() == {"id": JOB, "target": 1}


@pytest.mark.parametrize(
    "name", sorted(path.name for path in SAMPLES.glob("render_*") if path.name != "render_started")
)
def test_a_render_is_watched(server, name):
    upstream = sample(name)
    report = upstream.at(server).render("rnd_55")
    assert (report.phase is RenderPhase.FAILED) == ("error" in name or "failed" in name)
    assert upstream.requests[0].path == "/api/render/rnd_55"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_a_failed_render_is_a_report_whatever_its_status(server, status):
    upstream = answering(status, {"status": 500, "message": "encoder stopped", "code": "RENDERING_ERROR"})
    assert upstream.at(server).render("rnd_55").message == "encoder stopped"


@pytest.mark.parametrize(("status", "error"), [(401, CredentialsRefused), (429, RateLimited)])
def test_a_refused_request_is_no_failed_render(server, status, error):
    with pytest.raises(error):
        answering(status, {"type": "error", "code": "RENDERING_ERROR"}).at(server).render("rnd_55")


@pytest.mark.parametrize("body", [b"", b"<html>", {"status": 500, "message": "later", "code": "INTERNAL_SERVER_ERROR"}])
def test_an_upstream_fault_is_no_failed_render(server, body):
    with pytest.raises(UpstreamUnavailable):
        answering(500, body).at(server).render("rnd_55")


def test_the_storage(server):
    assert sample("uploads").at(server).uploads() == Uploads(12.5, 1000.0, 1.25, 0)
    with pytest.raises(UnreadableAnswer):
        answering(200, []).at(server).uploads()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("refused_bad_request", UpstreamRefused),
        ("refused_full_storage", UpstreamRefused),
        ("refused_phone", UpstreamRefused),
        ("refused_credit", UpstreamRefused),
        ("refused_not_found", UpstreamRefused),
        ("refused_key", CredentialsRefused),
        ("refused_key_general_form", CredentialsRefused),
        ("refused_other_organization", CredentialsRefused),
        ("refused_rate_limit_older_docs", RateLimited),
        ("refused_rate_limit_newer_docs", RateLimited),
        ("unavailable_failed_deletion", UpstreamUnavailable),
        ("unavailable_proxy_page", UpstreamUnavailable),
        ("redirected", UpstreamUnavailable),
    ],
)
def test_refusals(server, name, error):
    upstream = sample(name)
    for call in (
        lambda swiftia: swiftia.create_job({}),
        lambda swiftia: swiftia.job(JOB),
        lambda swiftia: swiftia.start_render({}),
        lambda swiftia: swiftia.render("rnd_55"),
    ):
        with pytest.raises(error):
            call(upstream.at(server))
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a?b", "a\n", "é", "a" * 129, None])
def test_a_bad_id_meets_no_url(server, job_id):
    upstream = answering(200)
    with pytest.raises(InvalidInput):
        upstream.at(server).job(job_id)
    with pytest.raises(InvalidInput):
        upstream.at(server).render(job_id)
    assert upstream.requests == []


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}])
def test_a_body_that_is_no_json_is_not_sent(server, body):
    upstream = answering(200)
    with pytest.raises(InvalidInput):
        upstream.at(server).create_job(body)
    assert upstream.requests == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 9000, b"NaN", b"null", b"{}", b"[]"])
def test_a_success_that_cannot_be_read(server, body):
    for call in (
        lambda swiftia: swiftia.create_job({}),
        lambda swiftia: swiftia.job(JOB),
        lambda swiftia: swiftia.start_render({}),
    ):
        with pytest.raises(UnreadableAnswer):
            call(answering(200, body).at(server))


def test_what_is_sent_with_every_request(server):
    upstream = answering(200, OK, set_cookie="a=b; Path=/")
    swiftia = upstream.at(server, base="/base/")
    swiftia.job(JOB)
    swiftia.job(JOB)
    request = upstream.requests[-1]
    assert request.path == f"/base/api/jobs/{JOB}"
    assert request.headers.pop("user-agent").startswith("swiftia-receiver/")
    assert request.headers == {
        "host": server.url.removeprefix("http://"),
        "authorization": f"Bearer {KEY}",
        "accept": "application/json",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity", "x"])
def test_a_compressed_answer_is_not_unpacked(server, encoding):
    packed = answering(200, OK, content_encoding=encoding)
    with pytest.raises(UnreadableAnswer, match="compressed"):
        packed.at(server).job(JOB)


def test_a_compressed_refusal_is_judged_by_its_status(server):
    packed = answering(429, b"\x1f\x8b", content_encoding="gzip", retry_after="4")
    with pytest.raises(RateLimited) as caught:
        packed.at(server).job(JOB)
    assert caught.value.retry_after == 4


def test_results_and_small_answers_have_caps_of_their_own(server):
    answering(200, OK).at(server, max_result_bytes=len(OK)).job(JOB)
    with pytest.raises(TooLarge, match="MAX_RESULT_BYTES"):
        answering(200, OK).at(server, max_result_bytes=len(OK) - 1).job(JOB)
    with pytest.raises(TooLarge):
        answering(200, b" " * (MAX_SMALL_BYTES + 1)).at(server, max_result_bytes=1 << 30).render("rnd_55")


def test_whether_a_request_may_have_arrived(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    hangs_up = Upstream(sending())
    for swiftia, sent in [(hangs_up.of(nobody), False), (hangs_up.at(server), True)]:
        with pytest.raises(UpstreamUnavailable) as caught:
            swiftia.start_render({})
        assert caught.value.sent is sent
        assert caught.value.message.startswith("starting the render: ")
        # What is below knows the request, and with it the key.
        assert caught.value.__context__ is None
    assert len(hangs_up.requests) == 1


@pytest.mark.parametrize(
    ("upstream", "status"),
    [
        (answering(200, OK, X_RateLimit_Remaining="3"), 200),
        (answering(429, X_RateLimit_Remaining="3"), 429),
        (Upstream(sending()), None),
    ],
)
def test_every_exchange_is_observed_once(server, upstream, status):
    with suppress(RateLimited, UpstreamUnavailable):
        upstream.at(server).job(JOB)
    (told,) = upstream.answers
    assert (told.route, told.status, told.elapsed_s) == ("GET /api/jobs/{id}", status, 1.0)
    assert told.headers.get("x-ratelimit-remaining") == (None if status is None else "3")


def test_trouble_with_the_books_loses_no_answer(server):
    def answered(_):
        raise LedgerUnavailable("no Redis")

    assert sample("render_started").at(server, answered=answered).start_render({}) == "rnd_55"


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 429, 500])
def test_the_key_shows_nowhere(server, status):
    body = {"id": "other", "message": f"Bearer {KEY} is what you sent", "error": KEY, "code": KEY}
    upstream = answering(status, body, x_echo=KEY)
    swiftia = upstream.at(server)
    with pytest.raises(Exception, match="job") as caught:
        swiftia.job(JOB)
    assert KEY not in f"{caught.value!s} {caught.value!r} {vars(caught.value)} {upstream.answers} {swiftia!r}"


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_callback_url_that_is_quoted_shows_nowhere(server, slash):
    url = slash.join(["https:", "", "hooks.example.org", "webhooks", "swiftia", "abcdef.Zx9-mac_0"])
    upstream = answering(400, f'{{"error": "cannot call {url}"}}'.encode())
    with pytest.raises(UpstreamRefused, match="cannot call") as caught:
        upstream.at(server).create_job({})
    assert "Zx9" not in f"{caught.value!s} {vars(caught.value)}"


@pytest.mark.parametrize(
    "base_url", ["", "swiftia.test", "ftp://swiftia.test", "https://", "https://user:pw@swiftia.test"]
)
def test_addresses_that_cannot_be(base_url):
    with pytest.raises(InvalidSettings, match="SWIFTIA_BASE_URL") as caught:
        wire(base_url, KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel", "\x00"])
def test_keys_that_cannot_be_sent(key):
    with pytest.raises(InvalidSettings, match="SWIFTIA_API_KEY") as caught:
        wire("https://swiftia.test", key)
    assert not key or key not in str(caught.value)
