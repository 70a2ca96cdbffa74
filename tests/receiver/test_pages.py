"""The pages: whole, safe, and every link leads somewhere."""

import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from receiver import problems
from receiver.description.document import ROUTES
from receiver.outline import kind_of
from tests.chromium import chromium

PAGES = ["/docs", "/problems", *(f"/problems/{slug}" for slug in problems.KINDS)]


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(told)
        self.links += [told[name] for name in ("href", "src") if name in told]
        self.anchors += [told["id"]] if "id" in told else []
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_asks_nobody_for_anything(client: FlaskClient, path):
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert "unsafe" not in policy
    page = Reader(answer.text)
    assert page.open == []
    assert not {"script", "style", "iframe", "form"} & set(page.tags)
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
    assert all(link.startswith(("/", "#")) for link in page.links)
    assert len(set(page.anchors)) == len(page.anchors)


def test_every_link_leads_somewhere(client: FlaskClient):
    pages = {path: Reader(client.get(path).text) for path in PAGES}
    anchors = {path: set(page.anchors) for path, page in pages.items()}
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            # The first page of the console is for who has signed in.
            assert client.get(target or path).status_code == (303 if target == "/" else 200), (path, link)
            assert not anchor or anchor in anchors[target or path], (path, link)


def test_every_route_is_on_the_page(client: FlaskClient):
    text = client.get("/docs").text
    for route in ROUTES:
        assert f'href="#{route.id}"' in text


@pytest.mark.parametrize("path", ["/docs", "/docs/style.css", "/problems/busy"])
def test_a_page_that_is_had_already_is_not_sent_again(client: FlaskClient, path):
    etag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("slug", ["nonsense", "..", "%2e%2e%2fstyle.css", "about:blank", "Busy"])
def test_a_problem_that_there_is_not_is_not_found(client: FlaskClient, slug):
    answer = client.get(f"/problems/{slug}")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")


def test_the_type_of_a_problem_leads_to_its_page(client: FlaskClient):
    problem = client.get("/api/jobs").json
    page = client.get(problem["type"])
    assert problem["title"] in page.text


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "anything"),
        ({"const": True}, "true"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, "list of Job"),
        ({"type": "array", "items": {"type": "string"}}, "list"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "text, date-time or null"),
        ({"enum": ["", "limit"]}, "(empty), limit"),
        ({"type": "integer", "minimum": 0, "maximum": 10**15}, "whole number"),
        ({"type": "integer", "minimum": 0}, "whole number"),
    ],
)
def test_what_a_value_is_in_words(schema, words):
    assert kind_of(schema) == words


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def site(app) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def luminance(color: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", color)[:3])
    return red * 0.2126 + green * 0.7152 + blue * 0.0722


@pytest.mark.parametrize("width", [320, 390, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_its_window_in_light_and_dark(browser: Browser, site, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in ("/docs", "/problems", "/problems/submission-unsure"):
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (luminance(paper) < 128) is (scheme == "dark")
    assert said == []
    context.close()


def test_without_scripts_nothing_is_missing(browser: Browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 800}, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/docs")
    page.get_by_text("Contents", exact=True).click()
    page.locator('details a[href="#listJobs"]').click()
    assert page.url.endswith("#listJobs")
    context.close()
