"""What finds fault with pages does find it."""

from playwright.sync_api import Browser

from tests.flow.browsing import found_by_axe, missed_by_keyboard, too_wide

HEAD = '<!doctype html><html lang="en"><title>A page</title><main><h1>Words</h1><a class="skip" href="#x">Skip</a>'


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
