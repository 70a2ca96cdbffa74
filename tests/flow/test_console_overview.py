"""The console's overview, Parked, Submit, Check and Workers in Chromium, over the whole service in processes."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chaos.machine import Machine
from tests.flow.browsing import LOOKS, found_by_axe, missed_by_keyboard, too_wide
from tests.pictures.stage import make_up_a_day

pytestmark = pytest.mark.slow

MOST_BYTES = 60_000
HEAD = '<!doctype html><html lang="en"><title>A page</title><main><h1>Words</h1><a class="skip" href="#x">Skip</a>'
PAGES = ("/", "/parked", "/parked/retry?group=swiftia-404", "/submit", "/check", "/workers")


@pytest.fixture
def visit(visitor: Callable[..., Page], quick: Machine) -> Callable[..., Page]:
    return lambda *look, **options: visitor(quick, *look, **options)


@pytest.fixture(scope="module")
def parked(quick: Machine) -> list[str]:
    """Jobs that are parked, of two groups."""
    jobs = quick.submit_many(["archived-one", "archived-two", "private-file-one"])
    quick.wait_for(lambda: quick.counts().get("parked", 0) >= 3, 60)
    return jobs


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.usefixtures("parked")
def test_nobody_is_left_out(visit, look):
    page = visit(look)
    page.goto("/check")
    page.locator("main button").first.click()
    for path in PAGES:
        page.goto(path)
        for summary in page.locator("summary").all():
            summary.click()
        assert found_by_axe(page) == "", path
        assert too_wide(page) == 0, path
        if look == "desk":
            assert missed_by_keyboard(page) == "", path
    page.goto("/submit")
    page.click("main button.primary")
    expect(page.locator("[role=alert]")).to_contain_text("1 thing to mend")
    assert found_by_axe(page) == ""
    page.fill("#source", "abc")
    page.click("main button.primary")
    expect(page.locator("h1")).to_have_text("This would be sent")
    assert found_by_axe(page) == ""


def test_the_overview_weighs_little(visit, quick: Machine):
    make_up_a_day(quick)
    page = visit()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto("/", wait_until="load")
    assert len(sizes) >= 4  # the page, two stylesheets, scripts
    assert sum(sizes) < MOST_BYTES


def test_the_overview_follows_what_happens(visit, quick: Machine):
    page = visit()
    expect(page.locator("[data-live]")).to_have_text("Live")
    before = page.locator("#jobs .counts").inner_text()
    quick.submit("seen-by-the-overview")
    expect(page.locator("#jobs .counts")).not_to_have_text(before, timeout=20_000)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_job_is_submitted_through_the_form_and_ends(visit, quick: Machine, scripts):
    name = f"by-hand-{'with' if scripts else 'without'}"
    page = visit(java_script_enabled=scripts)
    page.click("nav >> text=Submit")
    page.fill("#source", name)
    page.fill("#cuts", "0:01 0:09 One")
    page.click("main button.primary")
    expect(page.locator("pre").first).to_contain_text(f'"youtubeVideoId": "{name}"')
    key = page.locator("[name=key]").input_value()
    fields = {one.get_attribute("name"): one.input_value() for one in page.locator("form:has([name=key]) input").all()}
    page.click("main button.primary")
    expect(page).to_have_url(re.compile("/jobs/[A-Za-z0-9_-]+$"))
    job = page.url.rpartition("/")[2]
    # Sent again, as by a double click: the same job.
    again = page.request.post("/submit/send", form=fields, max_redirects=0)
    assert (again.status, again.headers["location"]) == (303, f"/jobs/{job}")
    assert key.startswith("console-")
    ended = quick.wait_for(lambda: (found := quick.job(job)) and found["state"] == "finished" and found, 60)
    assert len(ended["renders"]) == 1


@pytest.mark.parametrize("scripts", [True, False])
def test_what_is_parked_is_retried_from_its_page(visit, quick: Machine, parked, scripts):
    job = parked[scripts]
    page = visit(java_script_enabled=scripts)
    page.goto("/parked")
    expect(page.locator("h2").first).to_have_text("Not known at Swiftia")
    page.click(f"a[href='/parked/retry?job={job}']")
    question = page.locator("dialog" if scripts else "main")
    expect(question.locator("h1")).to_have_text("Retry this job?")
    question.locator("button.primary").click()
    expect(page.locator("[role=status]").first).to_have_text("1 job set going again.")
    assert "retried" in [entry["event"] for entry in quick.job(job)["timeline"]]
    quick.wait_for(lambda: quick.job(job)["state"] == "parked", 60)


@pytest.mark.usefixtures("parked")
def test_a_group_is_retried_by_keyboard_alone(visit, quick: Machine):
    page = visit()
    page.goto("/parked")
    page.locator("a", has_text=re.compile("Retry these 2")).focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog.locator("h1")).to_have_text("Retry 2 jobs?")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Enter")
    dialog.locator("button.primary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[role=status]").first).to_have_text("2 jobs set going again.")
    quick.wait_for(lambda: quick.counts().get("parked", 0) >= 3, 60)


def test_a_check_runs_at_the_press_of_a_button(visit):
    page = visit(java_script_enabled=False)
    page.goto("/check")
    page.locator("main button").first.click()
    expect(page.locator(".findings li").first).to_be_visible()
    expect(page.locator(".findings")).to_contain_text("an acknowledged callback survives a crash of the server")


def test_workers_are_seen(visit):
    page = visit()
    page.goto("/workers")
    expect(page.locator("tbody")).to_have_count(2)  # one machine, and what is due
    for kind in ("worker, upstream", "worker, files", "courier", "clock", "web"):
        expect(page.locator("table.rows tbody", has_text=kind).first).to_be_visible()


# What finds fault with pages does find it.


def test_faults_are_found(browser: Browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_content(f"{HEAD}<p>All is well.</p><button>Press</button>")
    assert (found_by_axe(page), missed_by_keyboard(page), too_wide(page)) == ("", "", 0)
    page.set_content(f'{HEAD}<input><p style="color: #aaa; width: 500px">Faint</p>')
    found = found_by_axe(page)
    assert "label: " in found
    assert "color-contrast: " in found
    assert too_wide(page) > 100
    page.set_content(f'{HEAD}<button style="outline: none">Press</button>')
    assert "no focus to be seen" in missed_by_keyboard(page)
    page.set_content(f"{HEAD}<a href='#a'>Trap</a><button>Far</button>")
    page.evaluate("() => { document.querySelector('a:not(.skip)').onkeydown = event => event.preventDefault(); }")
    assert "1 of 3 cannot be reached" in missed_by_keyboard(page)
    page.close()
