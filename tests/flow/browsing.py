"""Windows as people have them, and what finds fault with the pages that they show."""

import json
from importlib import resources
from typing import Any, Final

from playwright.sync_api import Page

# Scheme, width and height: narrow and dark, wide and light, so that each of them is seen once.
LOOKS: Final = {"phone": ("dark", 390, 844), "desk": ("light", 1440, 900)}
_AXE: Final = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_REACHABLE: Final = """() => {
    const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, video[controls], [tabindex]';
    return [...document.querySelectorAll(wanted)].filter(one => one.checkVisibility() && one.tabIndex >= 0).length;
}"""
_FOCUSED: Final = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    if (!window.visited.has(one)) window.visited.set(one, window.visited.size);
    const style = getComputedStyle(one);
    // The controls inside of a video are the browser's own, and so is how they show it.
    const seen = one.localName === 'video' || style.outlineStyle === 'auto'
        || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2);
    return [window.visited.get(one), seen, one.outerHTML.slice(0, 200)];
}"""


def found_by_axe(page: Page) -> str:
    """What axe-core has against a page, empty for nothing."""
    page.evaluate(_AXE)  # past the policy of the page, which lets no script of ours in
    asked = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = page.evaluate(f"axe.run(document, {json.dumps(asked)})")["violations"]
    return "\n".join(f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"])


def too_wide(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def missed_by_keyboard(page: Page) -> str:
    """What cannot be reached by the tab key, or does not show that it is; empty for nothing. Folded is not counted."""
    page.locator(".skip").focus()
    page.evaluate("() => { window.visited = new Map(); }")
    page.evaluate(_FOCUSED)
    wanted, reached, hidden = int(page.evaluate(_REACHABLE)), 1, []
    for _ in range(2 * wanted + 20):  # the controls of a video are several stops
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUSED)
        if found is None or found[0] < reached - 1:
            break  # once around
        reached = found[0] + 1
        hidden += [] if found[1] else [found[2]]
    missed = [f"{wanted - reached} of {wanted} cannot be reached"] if reached < wanted else []
    return "\n".join([*missed, *(f"no focus to be seen on {html}" for html in hidden)])
