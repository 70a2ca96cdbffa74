"""What holds for every page: its policy, its parts, and errors in its frame."""

import gzip
import re

import pytest
from redis import Redis

from receiver.app import create_app
from receiver.console.assets import every_asset
from receiver.console.shell import POLICY
from tests.receiver.console.conftest import ADMIN, form_token, signed_in
from workers.settings import Settings
from workers.wiring import build

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def test_no_page_may_load_anything_from_elsewhere(admin, client):
    for page in (admin.get("/"), client.get("/sign-in")):
        assert page.headers["Content-Security-Policy"] == POLICY
        assert "unsafe" not in POLICY
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<style|<script(?! type=\"module\" src=\"/assets)| style=| on\w+=|https?://", page.text)


def test_what_a_page_loads_is_there_and_may_be_kept_for_good(client):
    page = client.get("/sign-in").text
    found = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
    assert len(found) >= 3
    for address in found:
        plain = client.get(address)
        assert (plain.status_code, plain.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        packed = client.get(address, headers={"Accept-Encoding": "br, gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert len(packed.data) < len(plain.data)


def test_every_module_that_a_script_imports_is_there(client):
    assets = every_asset()
    script = client.get(f"{assets.base}/console.js").text
    for name in re.findall(r'from "\./([\w.]+)"', script):
        assert client.get(f"{assets.base}/{name}").content_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("name", ["console.py", "..%2fapp.py", "", ".css", "style"])
def test_nothing_else_is_given_away(client, name):
    assert client.get(f"{every_asset().base}/{name}").status_code == 404


def test_of_another_version_there_is_what_there_is_and_not_for_long(client):
    answer = client.get("/assets/0000/console.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_an_error_is_a_page_for_a_browser(client, admin):
    page = client.get("/nothing-here", headers=BROWSER)
    assert (page.status_code, page.content_type) == (404, "text/html; charset=utf-8")
    assert page.headers["Content-Security-Policy"] == POLICY
    assert "Sign out" not in page.text
    assert "Sign out" in admin.get("/nothing-here", headers=BROWSER).text
    assert set(client.put("/", headers=BROWSER).headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/nothing-here", None),
        ("/nothing-here", "*/*"),
        ("/nothing-here", "application/json"),
        ("/api/nothing-here", BROWSER["Accept"]),
        ("/webhooks/swiftia", BROWSER["Accept"]),
        ("/assets/0/nothing", BROWSER["Accept"]),
    ],
)
def test_an_error_is_a_problem_for_a_program(client, path, accept):
    answer = client.get(path, headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_without_redis_one_signs_in_and_is_told(env):
    services = build(Settings.from_env(env), Redis(port=1, retry=None))
    client = signed_in(create_app(services), ADMIN)
    page = client.get("/jobs", headers=BROWSER)
    assert (page.status_code, page.content_type) == (503, "text/html; charset=utf-8")
    assert int(page.headers["Retry-After"]) > 0
    assert "does not answer" in page.text
    assert client.post("/sign-out", data={"form_token": form_token(client)}).status_code == 303
