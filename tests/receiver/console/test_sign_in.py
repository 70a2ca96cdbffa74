"""Signing in and out, and what a session is good for."""

import pytest
from redis import Redis

from receiver.app import create_app
from receiver.console.sessions import IDLE_S, LONGEST_S
from receiver.console.tries import FROM_ONE
from tests.receiver.console.conftest import ADMIN, VIEWER, form_token, signed_in
from tests.refusing import full

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SAFE = "https://localhost"
OTHER_SITE = {"Sec-Fetch-Site": "cross-site"}


class Clock:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.parametrize("path", ["/", "/?a=b"])
def test_who_has_not_signed_in_is_led_there_and_back(client, path):
    answer = client.get(path)
    assert answer.status_code == 303
    there = answer.headers["Location"]
    assert there.startswith("/sign-in")
    wanted = path if "next" in there else "/"
    page = client.get(there)
    assert f'name="next" value="{wanted}"' in page.text
    answer = client.post("/sign-in", data={"token": ADMIN, "next": wanted}, base_url=SAFE)
    assert (answer.status_code, answer.headers["Location"]) == (303, wanted)
    assert client.get(wanted).status_code == 200
    assert client.get(there).headers["Location"] == wanted


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "javascript:1", "", "jobs"],
)
def test_nobody_is_led_away_after_signing_in(client, wanted):
    answer = client.post("/sign-in", data={"token": ADMIN, "next": wanted}, base_url=SAFE)
    assert answer.headers["Location"] == "/"
    answer = client.post("/sign-in", data={"token": ADMIN, "next": wanted})
    assert answer.headers["Location"] == "/sign-in?next=%2F&tried=1"


def test_a_browser_that_may_drop_its_cookie_is_looked_after(app, client):
    answer = client.post("/sign-in", data={"token": ADMIN, "next": "/?a=b"})
    there = answer.headers["Location"]
    assert there == "/sign-in?next=%2F%3Fa%3Db&tried=1"
    assert client.get(there).headers["Location"] == "/?a=b"
    page = app.test_client().get(there)
    assert page.status_code == 401
    assert "has not kept the sign-in" in page.text


@pytest.mark.parametrize("token", ["", "wrong", ADMIN[:-1], f"{ADMIN}x", "\u2603", "x" * 10_000])
def test_another_token_does_not_let_in(client, token):
    answer = client.post("/sign-in", data={"token": token})
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (401, [])
    assert "neither the admin token nor the viewer token" in answer.text
    assert client.get("/").status_code == 303


def test_the_viewer_token_is_none_where_there_is_none(client):
    assert client.post("/sign-in", data={"token": "None"}).status_code == 401


def test_a_session_is_kept_from_scripts_and_other_sites(client):
    cookie = client.post("/sign-in", data={"token": ADMIN}).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie


@pytest.mark.parametrize(
    ("settings", "headers", "secure"),
    [
        ({"PUBLIC_URL": "http://hooks.example.org"}, {}, False),
        ({"PUBLIC_URL": "http://hooks.example.org"}, {"X-Forwarded-Proto": "https"}, False),
        ({"PUBLIC_URL": "http://x.example", "TRUSTED_PROXIES": "10.0.0.0/8"}, {"X-Forwarded-Proto": "https"}, False),
        ({"PUBLIC_URL": "http://x.example", "TRUSTED_PROXIES": "127.0.0.0/8"}, {"X-Forwarded-Proto": "https"}, True),
        ({"PUBLIC_URL": "http://x.example", "TRUSTED_PROXIES": "127.0.0.0/8"}, {"X-Forwarded-Proto": "http"}, False),
        ({"PUBLIC_URL": "https://hooks.example.org"}, {}, True),
    ],
)
def test_a_session_that_came_over_https_stays_on_https(site, settings, headers, secure):
    answer = site(**settings).test_client().post("/sign-in", data={"token": ADMIN}, headers=headers)
    cookie = answer.headers["Set-Cookie"]
    assert ("Secure" in cookie) is secure
    assert cookie.startswith("__Host-") is secure


def test_signing_out_ends_the_session_for_whoever_has_its_cookie(app, admin):
    copied = admin.get_cookie("__Host-swiftia-console")
    answer = admin.post("/sign-out", data={"form_token": form_token(admin)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?out=1")
    assert "signed out" in admin.get("/sign-in?out=1").text
    thief = app.test_client()
    thief.set_cookie(copied.key, copied.value)
    assert thief.get("/").status_code == 303


def test_a_session_ends_when_it_is_not_used(services):
    clock = Clock()
    client = signed_in(create_app(services, now=clock), ADMIN)
    for _ in range(3):
        clock.at += IDLE_S - 1
        assert client.get("/").status_code == 200
    clock.at += IDLE_S
    assert client.get("/").status_code == 303


def test_a_session_ends_after_its_time_however_it_is_used(services):
    clock = Clock()
    client = signed_in(create_app(services, now=clock), ADMIN)
    began = clock.at
    while clock.at + IDLE_S / 2 < began + LONGEST_S:
        clock.at += IDLE_S / 2
        assert client.get("/").status_code == 200
    clock.at = began + LONGEST_S
    assert client.get("/").status_code == 303


def test_a_clock_that_is_set_back_prolongs_nothing(services):
    clock = Clock()
    client = signed_in(create_app(services, now=clock), ADMIN)
    clock.at -= 86_400
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),  # another process of the same service
        ({"ADMIN_TOKEN": "another-admin-token"}, 303),
        ({"VIEWER_TOKEN": "another-viewer-token"}, 303),
    ],
)
def test_a_changed_token_signs_everybody_out(build_services, changes, status):
    usual = {"VIEWER_TOKEN": VIEWER}
    cookie = signed_in(create_app(build_services(**usual)), ADMIN).get_cookie("__Host-swiftia-console")
    other = create_app(build_services(**usual | changes)).test_client()
    other.set_cookie(cookie.key, cookie.value)
    assert other.get("/").status_code == status


# Not the very last letter, of which not every bit counts.
@pytest.mark.parametrize("place", [0, 10, -2])
def test_a_cookie_that_was_changed_is_none(app, admin, place):
    cookie = admin.get_cookie("__Host-swiftia-console")
    letters = list(cookie.value)
    letters[place] = "A" if letters[place] != "A" else "B"
    client = app.test_client()
    client.set_cookie(cookie.key, "".join(letters))
    assert client.get("/").status_code == 303


def test_a_session_lets_a_page_listen_and_look_but_change_nothing(admin):
    assert admin.get("/api/jobs").status_code == 200
    assert admin.head("/api/jobs").status_code == 200
    assert admin.get("/metrics").status_code == 200
    for method, path in (("POST", "/api/jobs/retry?state=parked"), ("DELETE", "/api/jobs/x"), ("PUT", "/api/jobs/x")):
        assert admin.open(path, method=method, json={}).status_code == 401
    assert admin.get("/api/jobs", headers=OTHER_SITE).status_code == 401


def test_too_many_tries_are_refused_and_the_right_token_too(client, redis: Redis):
    for _ in range(FROM_ONE):
        assert client.post("/sign-in", data={"token": "wrong"}).status_code == 401
    answer = client.post("/sign-in", data={"token": ADMIN}, headers=HTML)
    assert (answer.status_code, answer.content_type) == (429, "text/html; charset=utf-8")
    assert 1 <= int(answer.headers["Retry-After"]) <= 300
    assert "too many tries" in answer.text
    for key in redis.keys("sr:console:tries:*"):
        assert 0 < redis.ttl(key) <= 300
        assert b"127.0.0.1" not in key


def test_a_limit_is_that_of_an_address_as_the_proxy_tells_it(site):
    app = site(TRUSTED_PROXIES="127.0.0.1/32")

    def tries(address: str) -> int:
        headers = {"X-Forwarded-For": f"6.6.6.6, {address}"}
        return app.test_client().post("/sign-in", data={"token": "wrong"}, headers=headers).status_code

    assert {tries("192.0.2.1") for _ in range(FROM_ONE)} == {401}
    assert tries("192.0.2.1") == 429
    assert tries("192.0.2.2") == 401


def test_signing_in_well_takes_nothing_from_the_tries(client):
    for _ in range(FROM_ONE + 2):
        assert client.post("/sign-in", data={"token": ADMIN}).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
    ],
)
def test_a_form_of_another_site_is_refused(admin, headers, status):
    token = form_token(admin)
    assert admin.post("/sign-out", data={"form_token": token}, headers=headers).status_code == status
    assert admin.get("/").status_code == (303 if status == 303 else 200)


@pytest.mark.parametrize("token", ["", "0" * 64, "\u2603"])
def test_a_form_without_the_token_of_its_session_is_refused(admin, token):
    answer = admin.post("/sign-out", data={"form_token": token}, headers=HTML)
    assert answer.status_code == 403
    assert "belongs to another session" in answer.text
    assert admin.get("/").status_code == 200


def test_the_token_of_another_session_does_not_do(app, admin):
    other = form_token(signed_in(app, ADMIN))
    assert other != form_token(admin)
    assert admin.post("/sign-out", data={"form_token": other}).status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=a&token=b", "application/x-www-form-urlencoded", 400),
        (b"token=%ff", "application/x-www-form-urlencoded", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % n for n in range(300)), "application/x-www-form-urlencoded", 400),
        (b"x" * 300_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 400),
        (b"", "", 401),
    ],
)
def test_what_is_no_form_is_refused(client, body, kind, status):
    assert client.post("/sign-in", data=body, content_type=kind).status_code == status


def test_a_proxy_vouches_for_people_with_every_request(site):
    app = site(CONSOLE_AUTH_HEADER="X-Forwarded-User", TRUSTED_PROXIES="127.0.0.1/32")
    client = app.test_client()
    told = {"X-Forwarded-User": "<ada>@example.org"}
    page = client.get("/", headers=told)
    assert page.status_code == 200
    assert "&lt;ada&gt;@example.org" in page.text
    assert "/sign-out" not in page.text
    assert client.get("/api/jobs", headers=told).status_code == 200
    assert client.post("/api/jobs/retry?state=parked", headers=told).status_code == 401
    assert client.get("/").status_code == 303
    away = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.get("/", headers=told, environ_base=away).status_code == 303
    assert client.get("/api/jobs", headers=told, environ_base=away).status_code == 401


def test_a_header_that_nobody_could_be_believed_with_is_refused(site):
    with pytest.raises(Exception, match="TRUSTED_PROXIES"):
        site(CONSOLE_AUTH_HEADER="X-Forwarded-User")


def test_while_redis_takes_nothing_tries_are_counted_all_the_same(client, redis: Redis):
    with full(redis):
        for _ in range(FROM_ONE):
            assert client.post("/sign-in", data={"token": "wrong"}).status_code == 401
        assert client.post("/sign-in", data={"token": ADMIN}).status_code == 429


def test_while_redis_takes_nothing_one_can_sign_in_and_out(app, redis: Redis):
    with full(redis):
        client = signed_in(app, ADMIN)
        assert client.post("/sign-out", data={"form_token": form_token(client)}).status_code == 303
        assert client.get("/").status_code == 303
