"""``make screenshots``: every page of the console, narrow and wide, light and dark, as a folder of pictures.

With ``--readme`` three of them are written to ``deploy/pictures`` too, small enough for the README.
"""

import argparse
import base64
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page

from tests.chaos.machine import ROOT, Machine
from tests.chromium import chromium
from tests.pictures.stage import lively

WIDTHS = {390: 844, 1440: 900}
SCHEMES = ("light", "dark")
FOR_README = {"overview-1440-light": 82, "job-finished-1440-dark": 82, "parked-390-light": 80}
# They are not loaded before somebody plays them; a picture shows their first frame.
FILMS = """() => Promise.all([...document.querySelectorAll('video')].map(film => new Promise(done => {
    film.oncanplaythrough = film.onerror = done;
    setTimeout(done, 4000);
    film.preload = 'auto';
    film.load();
})))"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("screenshots"), help="where they go")
    parser.add_argument("--readme", action="store_true", help="those of the README too")
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        chromium() as browser,
        lively(Path(scratch) / "machine") as machine,
    ):
        pages = {name: path for name, path in every_page(machine).items() if asked.only in name}
        for name, page in taken(browser, machine, pages):
            page.screenshot(path=asked.folder / f"{name}.png", full_page=True)
            if asked.readme and name in FOR_README:
                (ROOT / "deploy" / "pictures" / f"{name}.webp").write_bytes(small(page, FOR_README[name]))
    print(f"{len(list(asked.folder.glob('*.png')))} pictures in {asked.folder}")  # noqa: T201 - said to a person


def every_page(machine: Machine) -> dict[str, str]:
    """Addresses by the names of their pictures; ``submit-preview`` is come to through the form."""
    listed = machine.http.get("/api/jobs?limit=100").json()["jobs"]
    by_state = {job["state"]: job["id"] for job in listed if job["id"]}
    return {
        "sign-in": "/sign-in",
        "overview": "/",
        "jobs": "/jobs",
        "job": f"/jobs/{by_state['rendering']}",
        "job-finished": f"/jobs/{by_state['finished']}",
        "job-parked": f"/jobs/{by_state['parked']}",
        "parked": "/parked",
        "parked-retry": "/parked/retry?group=swiftia-404",
        "submit": "/submit",
        "submit-preview": "/submit",
        "check": "/check",
        "workers": "/workers",
        "nothing-there": "/jobs/no-such-job",
    }


def taken(browser: Browser, machine: Machine, pages: dict[str, str]) -> Iterator[tuple[str, Page]]:
    """Open each page in each width and scheme, and give it as it is to be shown."""
    url = str(machine.http.base_url)
    for width, height in WIDTHS.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            page = context.new_page()
            if "sign-in" in pages:
                page.goto("/sign-in")
                yield f"sign-in-{width}-{scheme}", page
            sign_in(context, page, machine)
            for name, path in pages.items():
                if name != "sign-in":
                    show(page, name, path)
                    yield f"{name}-{width}-{scheme}", page
            context.close()


def sign_in(context: BrowserContext, page: Page, machine: Machine) -> None:
    page.goto("/sign-in")
    page.fill("[name=token]", machine.http.headers["Authorization"].removeprefix("Bearer "))
    with page.expect_navigation():
        page.press("[name=token]", "Enter")
    assert context.cookies()


def show(page: Page, name: str, path: str) -> None:
    page.goto(path, wait_until="load")
    if name == "submit-preview":
        page.fill("[name=source]", "https://youtu.be/dQw4w9WgXcQ")
        page.fill("[name=cuts]", "0:12 0:44 A strong claim\n1:02 1:30.5 The turn")
        page.click("main button.primary")
    if name == "check" and page.get_by_role("button", name="Check now").count():
        page.click("main button.primary")
    page.wait_for_load_state("load")
    page.evaluate(FILMS)


def small(page: Page, quality: int) -> bytes:
    """What is seen of a page without scrolling, as WebP."""
    session = page.context.new_cdp_session(page)
    found = session.send("Page.captureScreenshot", {"format": "webp", "quality": quality})
    return base64.b64decode(found["data"])


if __name__ == "__main__":
    main(sys.argv[1:])
