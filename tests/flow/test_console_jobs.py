"""The console's sign-in and its pages for jobs in Chromium, over the whole service in processes."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.chaos.machine import Machine, started
from tests.flow.browsing import LOOKS, found_by_axe, missed_by_keyboard, too_wide
from tests.targets import target

pytestmark = pytest.mark.slow

Visit = Callable[..., Page]
# One job in each state that a job can end in; the parked one has renders, so that each kind of card is seen.
VIDEOS = {"finished": "quiet-harbour", "parked": "private-file-one", "failed": "job-fails-one"}
QUESTIONS = ("/jobs/{parked}/retry", "/jobs/{finished}/erase", "/jobs/{finished}/deliveries/1/retry")
PAGES = (
    "/jobs",
    "/jobs?q=nothing+like+this&state=parked",
    "/jobs?state=nonsense",
    "/jobs/{finished}",
    "/jobs/{parked}",
    "/jobs/{failed}",
    "/jobs/{finished}/result",
    *QUESTIONS,
    "/jobs/{finished}?done=retried",
    "/nothing-here",
)
NOTE_VALUES = """() => {
    window.values = {};
    new MutationObserver(changes => {
        for (const {target} of changes) (window.values[target.dataset.progressOf] ??= []).push(target.value);
    }).observe(document.querySelector('main'), {subtree: true, attributeFilter: ['value']});
}"""
SEEN = """seen => {
    Object.defineProperty(document, 'hidden', {value: !seen, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
}"""
PLAY = """video => new Promise((yes, no) => {
    video.muted = true;
    video.ontimeupdate = () => video.currentTime > 0.1 && yes();
    video.onerror = () => no(new Error(video.error.message));
    video.play().catch(no);
})"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The whole service; renders take long enough to be seen moving. An application takes every event."""
    with target() as application:
        made = started(
            tmp_path_factory.mktemp("console") / "machine",
            RECONCILE_AFTER="1s",
            SANDBOX_RATE_LIMIT="1000/1s",
            SANDBOX_JOB_SECONDS="1",
            SANDBOX_RENDER_SECONDS="3",
            SANDBOX_QUEUE_SECONDS="0.2",
            DELIVERY_URL=application.url,
            VIEWER_TOKEN="a-viewer-token-of-tests",
        )
        yield made
        made.end()


@pytest.fixture(scope="module")
def jobs(machine: Machine) -> dict[str, str]:
    """The ids of some jobs that have ended, by state; each is told of."""
    ids = dict(zip(VIDEOS, machine.submit_many(list(VIDEOS.values())), strict=True))

    def told(state: str) -> bool:
        job = machine.job(ids[state])
        return job["state"] == state and {each["state"] for each in job["deliveries"]} == {"delivered"}

    machine.wait_for(lambda: all(map(told, ids)), 60)
    return ids


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_is_left_out_of_a_page(machine, jobs, visitor: Visit, look):
    page = visitor(machine, look)
    for path in PAGES:
        page.goto(path.format(**jobs))
        for summary in page.locator("summary").all():
            summary.click()
            expect(page.locator("details[open][data-source]")).to_have_count(0)
        assert found_by_axe(page) == "", path
        assert too_wide(page) == 0, path


def test_nobody_on_this_machine_passes_for_a_proxy_that_is_none(machine):
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-User": "root"}
    token = machine.http.headers["Authorization"].removeprefix("Bearer ")
    answer = machine.http.post("/sign-in", data={"token": token}, headers=told)
    assert answer.status_code == 303
    assert answer.headers["Set-Cookie"].startswith("swiftia-console=")
    assert "Secure" not in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_is_left_out_of_signing_in(machine, visitor: Visit, look):
    page = visitor(machine, look, token=None)
    page.goto("/sign-in?next=/jobs")
    assert found_by_axe(page) == ""
    page.fill("#token", "a-wrong-token-of-tests")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("neither the admin token")
    assert found_by_axe(page) == ""
    assert too_wide(page) == 0


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{finished}", "/jobs/{parked}", "/jobs/{parked}/retry"])
def test_the_keyboard_alone_reaches_everything(machine, jobs, visitor: Visit, path):
    page = visitor(machine)
    page.goto(path.format(**jobs))
    for summary in page.locator("summary").all():
        summary.click()
        expect(page.locator("details[open][data-source]")).to_have_count(0)
    assert missed_by_keyboard(page) == ""


def test_one_signs_in_is_led_back_and_signs_out(machine, jobs, visitor: Visit):
    page = visitor(machine, token=None)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"/jobs/{jobs['finished']}")
    expect(page).to_have_title(re.compile("Sign in"))
    page.fill("#token", machine.http.headers["Authorization"].removeprefix("Bearer "))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/jobs/{jobs['finished']}$"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")
    assert page.context.cookies() == []
    page.goto("/jobs")
    expect(page).to_have_title(re.compile("Sign in"))
    assert said == [], "the policy of a page refuses something that is on it"


def test_the_bars_move_until_the_job_is_finished_without_a_reload(machine, visitor: Visit):
    page = visitor(machine)
    job = machine.submit("seen-moving")["id"]
    page.goto(f"/jobs/{job}")
    page.evaluate(NOTE_VALUES)
    expect(page.locator("#story-title ~ [data-live]")).to_have_text("Live")
    expect(page.locator("#renders > li")).to_have_count(3, timeout=30_000)
    expect(page.locator("#renders video").first).to_be_visible(timeout=30_000)
    page.evaluate("() => { document.querySelector('#renders video').seen = true; }")
    expect(page.locator("#state .badge")).to_have_text("finished", timeout=30_000)
    expect(page.locator("#renders .badge")).to_have_text(["kept"] * 3)
    assert page.evaluate("[...document.querySelectorAll('#renders video')].some(one => one.seen)"), (
        "it would stop playing"
    )
    expect(page.locator("#renders video")).to_have_count(3)
    expect(page.locator("#state progress")).to_have_js_property("value", 100)
    values = page.evaluate("window.values")
    assert any(key.startswith(f"{job}/") for key in values), values
    assert any(0 < value < 100 for value in values[job]), values
    expect(page.locator("#story li").first).to_contain_text("Your application took job.finished.", timeout=45_000)


def test_a_video_is_played_in_the_page(machine, jobs, visitor: Visit):
    page = visitor(machine)
    answers = []
    page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    page.goto(f"/jobs/{jobs['finished']}")
    assert not [url for url, _ in answers if url.endswith("/file")], "no file is read before it is played"
    page.locator("video").first.evaluate(PLAY)
    assert (f"{machine.http.base_url}/api/jobs/{jobs['finished']}/renders/1/file", 206) in answers


@pytest.mark.parametrize("scripts", [True, False])
def test_a_parked_job_is_retried(machine, jobs, visitor: Visit, scripts):
    page = visitor(machine, java_script_enabled=scripts)
    path = f"/jobs/{jobs['parked']}"
    page.goto(path)
    page.get_by_role("link", name="Retry").click()
    question = page.locator("dialog" if scripts else "main")
    expect(question.get_by_role("heading")).to_have_text("Set it going again?")
    question.get_by_role("link", name="Leave it").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"{path}$"))
    page.get_by_role("link", name="Retry").click()
    question.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_have_text("It is set going again.")
    assert "retried" in [entry["event"] for entry in machine.job(jobs["parked"])["timeline"]]
    machine.wait_for(lambda: machine.job(jobs["parked"])["state"] == "parked", 60)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_job_is_erased_and_an_event_sent_again(machine, visitor: Visit, scripts):
    page = visitor(machine, java_script_enabled=scripts)
    job = machine.submit(f"no-shorts-{scripts}")["id"]

    def ended() -> bool:
        found = machine.job(job)
        return found["state"] == "finished" and all(each["state"] == "delivered" for each in found["deliveries"])

    machine.wait_for(ended, 60)
    page.goto(f"/jobs/{job}")
    question = page.locator("dialog" if scripts else "main")
    page.get_by_role("link", name="Send again").first.click()
    question.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status")).to_have_text("The event is on its way once more.")
    machine.wait_for(lambda: machine.job(job)["deliveries"][0]["attempts"] == 2, 30)
    page.get_by_role("link", name="Erase").click()
    question.get_by_role("button", name="Erase it").click()
    expect(page).to_have_url(re.compile("/jobs"))
    expect(page.get_by_role("status")).to_contain_text("there is no trace of it here")
    assert machine.job(job)["status"] == 404


def test_a_page_of_a_job_that_is_erased_elsewhere_says_so(machine, visitor: Visit):
    job = machine.submit("stuck-and-erased")["id"]
    page = visitor(machine)
    page.goto(f"/jobs/{job}")
    expect(page.locator("#story-title ~ [data-live]")).to_have_text("Live")
    machine.http.delete(f"/api/jobs/{job}")
    expect(page.locator("#story-title ~ [data-live]")).to_have_text("Gone")


def test_a_page_that_nobody_sees_rests_and_then_catches_up(machine, visitor: Visit):
    page = visitor(machine)
    job = machine.submit("stuck-behind-a-tab")["id"]
    page.goto(f"/jobs/{job}")
    live = page.locator("#story-title ~ [data-live]")
    expect(live).to_have_text("Live")
    page.evaluate(SEEN, False)
    expect(live).to_have_text("")
    machine.http.delete(f"/api/jobs/{job}")
    page.evaluate(SEEN, True)
    expect(live).to_have_text("Gone")


@pytest.mark.parametrize("scripts", [True, False])
def test_jobs_are_searched(machine, jobs, visitor: Visit, scripts):
    page = visitor(machine, java_script_enabled=scripts)
    page.goto("/jobs")
    page.fill("#q", jobs["failed"])
    page.keyboard.press("Enter")
    expect(page.locator("#list tr")).to_have_count(1)
    page.locator("summary").click()
    page.select_option("#state", "parked")
    page.fill("#q", "")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(f"#row-{jobs['parked']}")).to_be_visible()
    expect(page.locator(f"#row-{jobs['failed']}")).to_have_count(0)
    page.locator(f"#row-{jobs['parked']} a").click()
    expect(page.locator("#state .badge")).to_have_text("parked")


def test_a_new_job_comes_onto_the_list_and_moves_there(machine, visitor: Visit):
    page = visitor(machine)
    page.goto("/jobs")
    with page.expect_request(re.compile("/api/events")):
        page.reload()
    job = machine.submit("no-shorts-listed")["id"]
    row = page.locator(f"#row-{job}")
    expect(row).to_be_visible(timeout=20_000)
    expect(row.locator(".badge")).to_have_text("finished", timeout=30_000)


def test_what_came_is_unfolded_where_it_stands(machine, jobs, visitor: Visit):
    page = visitor(machine)
    page.goto(f"/jobs/{jobs['finished']}")
    for place in ("#result", "#callbacks"):
        page.locator(f"{place} summary").click()
        expect(page.locator(f"{place} pre")).not_to_be_empty()


def test_a_moment_is_told_in_the_zone_of_the_reader(machine, jobs, visitor: Visit):
    for zone, scripts in (("Asia/Tokyo", True), ("America/New_York", True), ("Asia/Tokyo", False)):
        page = visitor(machine, timezone_id=zone, locale="en-GB", java_script_enabled=scripts)
        page.goto(f"/jobs/{jobs['finished']}")
        time = page.locator("#facts time").first
        if not scripts:
            expect(time).to_contain_text("UTC")
            continue
        said = "at => new Intl.DateTimeFormat('en-GB', {dateStyle: 'medium', timeStyle: 'medium', timeZone: at[1]})"
        at = time.get_attribute("datetime")
        expect(time).to_have_text(page.evaluate(f"({said}).call(null, [0, '{zone}']).format(new Date('{at}'))"))
        expect(time).to_have_attribute("title", re.compile("UTC"))


def test_who_may_only_look_looks(machine, jobs, visitor: Visit):
    page = visitor(machine, token="a-viewer-token-of-tests")
    page.goto(f"/jobs/{jobs['parked']}")
    expect(page.locator("#state .badge")).to_have_text("parked")
    expect(page.get_by_role("link", name=re.compile("Retry|Erase|Send again"))).to_have_count(0)
    page.goto(f"/jobs/{jobs['parked']}/erase")
    expect(page.get_by_role("heading")).to_have_text("This token is for looking")
