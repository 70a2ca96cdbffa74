"""Keys, the allowance, unknown routes, and the sandbox's own routes."""

import pytest

from workers.sandbox import WORDS, Sandbox, SandboxConfig

API = ["/api/jobs/x", "/api/render/x", "/api/organizations/brandings", "/api/whatever"]


@pytest.mark.parametrize("path", API)
def test_without_the_key_nothing_is_told(play, path):
    one = play()
    keys = ["", "Bearer wrong", "sandbox-key", "Bearer sandbox-key-and-more", "Basic sandbox-key"]

    answers = [one.client.get(path, headers={"Authorization": key}) for key in keys]

    for answer in answers:
        assert answer.status_code == 401
        assert answer.json() == {"status": 401, "message": "Unauthorized", "code": "UNAUTHORIZED"}
    assert one.books()["unauthorized"] == len(keys)


def test_the_files_have_a_refusal_of_their_own(play, anyone):
    answer = anyone.get(play().sandbox.url + "/api/uploads")

    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


def test_the_key_can_be_changed_while_it_runs(play):
    one = play()
    one.sandbox.configure(api_key="new")

    assert one.job("x").status_code == 401


def test_more_than_the_allowance_is_refused(play):
    one = play(rate_limit="2/5s")
    statuses = []
    for _ in range(4):
        last = one.job("x")
        statuses.append(last.status_code)
        one.clock.advance(1)

    assert statuses == [404, 404, 429, 429]
    assert last.json() == {
        "status": 429,
        "message": "Rate limit exceeded. Please try again later.",
        "code": "RATE_LIMIT_EXCEEDED",
        "retryAfter": 2,
    }
    assert last.headers["Retry-After"] == "2"
    assert last.headers["X-RateLimit-Limit"] == "2"
    assert last.headers["X-RateLimit-Remaining"] == "0"
    assert last.headers["X-RateLimit-Reset"] == str(round((one.clock() - 4 + 5) * 1000))
    assert one.books()["rate_limited"] == 2
    one.clock.advance(1)
    assert one.job("x").status_code == 404


def test_retry_after_can_be_as_short_as_the_documented_example(play):
    one = play(rate_limit="1/5s", retry_after="one")
    one.job("x")

    answer = one.job("x")

    assert (answer.headers["Retry-After"], answer.json()["retryAfter"]) == ("1", 1)


def test_the_rest_of_the_allowance_is_told_unless_told_not_to(play):
    one = play(rate_limit="5/1s")

    told = one.job("x").headers
    one.sandbox.configure(rate_headers=False)
    untold = one.job("x").headers

    assert told["X-RateLimit-Remaining"] == "4"
    assert "X-RateLimit-Remaining" not in untold


def test_only_the_api_is_counted(play):
    one = play(rate_limit="1/5s")
    for path in ("/", "/media/x/out.mp4", "/__books", "/nowhere"):
        one.client.get(path)
    one.client.get("/api/jobs/x", headers={"Authorization": "Bearer wrong"})

    assert one.job("x").status_code == 404


def test_wrong_methods_and_paths(play):
    one = play()
    table = [
        ("GET", "/api/jobs", 405, "POST"),
        ("DELETE", "/api/jobs/x", 405, "GET"),
        ("GET", "/api/render", 405, "POST"),
        ("PUT", "/api/render/x", 405, "GET"),
        ("POST", "/media/x/out.mp4", 405, "GET, HEAD"),
        ("GET", "/__reset", 405, "POST"),
        ("GET", "/api", 404, None),
        ("GET", "/api/jobs/a/b", 404, None),
        ("GET", "/api/nothing", 404, None),
        ("GET", "/nothing", 404, None),
    ]

    for method, path, status, allow in table:
        answer = one.client.request(method, path)
        assert answer.status_code == answer.json()["status"] == status, path
        assert answer.headers.get("Allow") == allow, path


def test_the_front_page_explains(play, anyone):
    text = anyone.get(play().sandbox.url).text

    assert "stand-in for the Swiftia HTTP API" in text
    assert "sandbox-key" in text
    assert all(word in text for word in WORDS)
    assert "hidden" not in anyone.get(play(api_key="hidden").sandbox.url).text


def test_the_books_are_open(play, anyone):
    one = play()
    one.finished_render()

    books = anyone.get(one.sandbox.url + "/__books").json()
    without_sums = anyone.get(one.sandbox.url + "/__books?hashes=no").json()

    assert books["renders"].keys() == one.books()["renders"].keys()
    assert len(next(iter(books["renders"].values()))["sha256"]) == 64
    assert next(iter(without_sums["renders"].values()))["sha256"] is None
    assert books["requests"]["POST /api/render"] == {"200": 1}


def test_the_config_is_changed_over_http(play):
    one = play()

    answer = one.client.post("/__config", json={"refuse": "no-credit", "resets": 0.5})

    assert (answer.status_code, answer.json()["refuse"], answer.json()["resets"]) == (200, "no-credit", 0.5)
    assert "api_key" not in answer.json()
    refused = one.client.post("/__config", json={"resets": 2, "html": 0.1})
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_INPUT")
    assert one.client.get("/__config").json() == answer.json()


def test_a_reset_forgets_everything(play):
    one = play()
    one.finished_render()
    one.sandbox.configure(refuse="no-credit")

    assert one.client.post("/__reset").json() == {"reset": True}

    books = one.books()
    assert (books["jobs"], books["renders"], books["requests"]) == ({}, {}, {"POST /__reset": {"200": 1}})
    assert one.sandbox.config.refuse == ""


def test_a_taken_port_is_an_error_at_once(play):
    taken = int(play().sandbox.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        Sandbox(SandboxConfig(port=taken))
