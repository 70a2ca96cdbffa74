import json
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

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
from workers.swiftia import MAX_SMALL_BYTES, Swiftia, client
from workers.uploads import Uploads

SAMPLES = Path(__file__).parents[1] / "samples"
KEY = "key-that-nobody-may-see"
JOB = "job_7Qa1"
OK = b'{"id": "job_7Qa1", "status": "PROCESSING"}'


class Upstream:
    """Answers what it is told to and remembers what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.answers = []

    def __call__(self, request):
        self.requests.append(request)
        return self.answer(request)

    def swiftia(self, *, max_result_bytes=10_000, answered=None, base_url="https://swiftia.test"):
        made = client(base_url, KEY, transport=httpx2.MockTransport(self))
        ticks = iter(range(100))
        observer = answered or self.answers.append
        return Swiftia(made, max_result_bytes=max_result_bytes, answered=observer, clock=lambda: float(next(ticks)))


def answering(status, body=b"", **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Upstream(lambda _: httpx2.Response(status, content=raw, headers=headers))


def sample(name):
    (head,) = (SAMPLES / name).glob("*.json")
    return answering(int(head.stem), (SAMPLES / name / "body").read_bytes(), **json.loads(head.read_text()))


def raising(error):
    def answer(_):
        raise error

    return Upstream(answer)


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("created_*")))
def test_a_job_is_created(name):
    upstream = sample(name)
    body = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk", "webhook": "https://hooks.example.org/x"}
    assert upstream.swiftia().create_job(body) == JOB
    (request,) = upstream.requests
    assert (request.method, request.url.path) == ("POST", "/api/jobs")
    assert json.loads(request.content) == body
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("job_*")))
def test_a_job_is_read_and_its_bytes_are_kept(name):
    upstream = sample(name)
    result, raw = upstream.swiftia().job(JOB)
    assert result.phase in Phase
    assert raw == (SAMPLES / name / "body").read_bytes()
    assert str(upstream.requests[0].url) == f"https://swiftia.test/api/jobs/{JOB}"


def test_a_render_is_started():
    upstream = sample("render_started")
    assert upstream.swiftia().start_render(render_request(JOB, 1)) == "rnd_55"
    assert (upstream.requests[0].method, upstream.requests[0].url.path) == ("POST", "/api/render")
    assert json.loads(upstream.requests[0].content) == {"id": JOB, "target": 1}


@pytest.mark.parametrize(
    "name", sorted(path.name for path in SAMPLES.glob("render_*") if path.name != "render_started")
)
def test_a_render_is_watched(name):
    upstream = sample(name)
    report = upstream.swiftia().render("rnd_55")
    assert (report.phase is RenderPhase.FAILED) == ("error" in name or "failed" in name)
    assert upstream.requests[0].url.path == "/api/render/rnd_55"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_a_failed_render_is_a_report_whatever_its_status(status):
    upstream = answering(status, {"status": 500, "message": "encoder stopped", "code": "RENDERING_ERROR"})
    assert upstream.swiftia().render("rnd_55").message == "encoder stopped"


@pytest.mark.parametrize(("status", "error"), [(401, CredentialsRefused), (429, RateLimited)])
def test_a_refused_request_is_no_failed_render(status, error):
    with pytest.raises(error):
        answering(status, {"type": "error", "code": "RENDERING_ERROR"}).swiftia().render("rnd_55")


@pytest.mark.parametrize("body", [b"", b"<html>", {"status": 500, "message": "later", "code": "INTERNAL_SERVER_ERROR"}])
def test_an_upstream_fault_is_no_failed_render(body):
    with pytest.raises(UpstreamUnavailable):
        answering(500, body).swiftia().render("rnd_55")


def test_the_storage():
    assert sample("uploads").swiftia().uploads() == Uploads(12.5, 1000.0, 1.25, 0)
    with pytest.raises(UnreadableAnswer):
        answering(200, []).swiftia().uploads()


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
def test_refusals(name, error):
    upstream = sample(name)
    for call in (
        lambda swiftia: swiftia.create_job({}),
        lambda swiftia: swiftia.job(JOB),
        lambda swiftia: swiftia.start_render({}),
        lambda swiftia: swiftia.render("rnd_55"),
    ):
        with pytest.raises(error):
            call(upstream.swiftia())
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "a?b", "a\n", "é", "a" * 129, None])
def test_a_bad_id_meets_no_url(job_id):
    upstream = answering(200)
    with pytest.raises(InvalidInput):
        upstream.swiftia().job(job_id)
    with pytest.raises(InvalidInput):
        upstream.swiftia().render(job_id)
    assert upstream.requests == []


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}])
def test_a_body_that_is_no_json_is_not_sent(body):
    upstream = answering(200)
    with pytest.raises(InvalidInput):
        upstream.swiftia().create_job(body)
    assert upstream.requests == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 9000, b"NaN", b"null", b"{}", b"[]"])
def test_a_success_that_cannot_be_read(body):
    for call in (
        lambda swiftia: swiftia.create_job({}),
        lambda swiftia: swiftia.job(JOB),
        lambda swiftia: swiftia.start_render({}),
    ):
        with pytest.raises(UnreadableAnswer):
            call(answering(200, body).swiftia())


def test_what_is_sent_with_every_request():
    upstream = answering(200, OK, **{"Set-Cookie": "a=b; Path=/"})
    swiftia = upstream.swiftia(base_url="https://swiftia.test/base/")
    swiftia.job(JOB)
    swiftia.job(JOB)
    request = upstream.requests[-1]
    assert request.url.path == f"/base/api/jobs/{JOB}"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["User-Agent"].startswith("swiftia-receiver/")
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in request.headers
    assert all(request.extensions["timeout"].values())


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity", "x"])
def test_a_compressed_answer_is_not_unpacked(encoding):
    # Decoded here it would raise: these bytes are no gzip.
    packed = Upstream(
        lambda _: httpx2.Response(200, stream=httpx2.ByteStream(OK), headers={"Content-Encoding": encoding})
    )
    with pytest.raises(UnreadableAnswer, match="compressed"):
        packed.swiftia().job(JOB)


def test_a_compressed_refusal_is_judged_by_its_status():
    headers = {"Content-Encoding": "gzip", "Retry-After": "4"}
    packed = Upstream(lambda _: httpx2.Response(429, stream=httpx2.ByteStream(b"\x1f\x8b"), headers=headers))
    with pytest.raises(RateLimited) as caught:
        packed.swiftia().job(JOB)
    assert caught.value.retry_after == 4


def test_results_and_small_answers_have_caps_of_their_own():
    answering(200, OK).swiftia(max_result_bytes=len(OK)).job(JOB)
    with pytest.raises(TooLarge, match="MAX_RESULT_BYTES"):
        answering(200, OK).swiftia(max_result_bytes=len(OK) - 1).job(JOB)
    with pytest.raises(TooLarge):
        answering(200, b" " * (MAX_SMALL_BYTES + 1)).swiftia(max_result_bytes=1 << 30).render("rnd_55")


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx2.ConnectError("refused"), False),
        (httpx2.ConnectTimeout("slow"), False),
        (httpx2.PoolTimeout("full"), False),
        (httpx2.ReadTimeout("slow"), True),
        (httpx2.WriteTimeout("slow"), True),
        (httpx2.ReadError("reset"), True),
        (httpx2.WriteError("reset"), True),
        (httpx2.RemoteProtocolError("garbage"), True),
        (httpx2.DecodingError("garbage"), True),
    ],
)
def test_whether_a_request_may_have_arrived(error, sent):
    with pytest.raises(UpstreamUnavailable) as caught:
        raising(error).swiftia().start_render({})
    assert caught.value.sent is sent
    assert caught.value.message.startswith("starting the render: ")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("upstream", "status"),
    [
        (answering(200, OK, **{"X-RateLimit-Remaining": "3"}), 200),
        (answering(429, **{"X-RateLimit-Remaining": "3"}), 429),
        (raising(httpx2.ConnectError("refused")), None),
    ],
)
def test_every_exchange_is_observed_once(upstream, status):
    with suppress(RateLimited, UpstreamUnavailable):
        upstream.swiftia().job(JOB)
    (answer,) = upstream.answers
    assert (answer.route, answer.status, answer.elapsed_s) == ("GET /api/jobs/{id}", status, 1.0)
    assert answer.headers.get("x-ratelimit-remaining") == (None if status is None else "3")


def test_trouble_with_the_books_loses_no_answer():
    def answered(_):
        raise LedgerUnavailable("no Redis")

    assert sample("render_started").swiftia(answered=answered).start_render({}) == "rnd_55"


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 429, 500])
def test_the_key_shows_nowhere(status):
    body = {"id": "other", "message": f"Bearer {KEY} is what you sent", "error": KEY, "code": KEY}
    upstream = answering(status, body, **{"X-Echo": KEY})
    swiftia = upstream.swiftia()
    with pytest.raises(Exception, match="job") as caught:
        swiftia.job(JOB)
    assert KEY not in f"{caught.value!s} {caught.value!r} {vars(caught.value)} {upstream.answers} {swiftia!r}"


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_callback_url_that_is_quoted_shows_nowhere(slash):
    url = slash.join(["https:", "", "hooks.example.org", "webhooks", "swiftia", "abcdef.Zx9-mac_0"])
    upstream = answering(400, f'{{"error": "cannot call {url}"}}'.encode())
    with pytest.raises(UpstreamRefused, match="cannot call") as caught:
        upstream.swiftia().create_job({})
    assert "Zx9" not in f"{caught.value!s} {vars(caught.value)}"


@pytest.mark.parametrize(
    "base_url", ["", "swiftia.test", "ftp://swiftia.test", "https://", "https://user:pw@swiftia.test"]
)
def test_addresses_that_cannot_be(base_url):
    with pytest.raises(InvalidSettings, match="SWIFTIA_BASE_URL") as caught:
        client(base_url, KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel", "\x00"])
def test_keys_that_cannot_be_sent(key):
    with pytest.raises(InvalidSettings, match="SWIFTIA_API_KEY") as caught:
        client("https://swiftia.test", key)
    assert not key or key not in str(caught.value)
