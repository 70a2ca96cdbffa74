"""Chromium without a screen, for the tests that look at pages as a person does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# The first is the same engine without the window, the tabs and the menus around it, which take as long again.
_PROGRAMS: Final = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
_ARGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    found = next((program for program in _PROGRAMS if program.exists()), None)
    if found is None and not os.environ.get("CI"):
        pytest.skip("no browser; apt install chromium-headless-shell, or chromium")
    expect.set_options(timeout=20_000)  # a busy machine shows the same, later
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found or _PROGRAMS[0], args=_ARGS)
        yield browser
        browser.close()
