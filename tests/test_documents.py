"""The documents tell the truth: names in them are names in the code."""

import re
from pathlib import Path

import pytest

from receiver.cli import COMMANDS
from receiver.description.console import SCREENS
from receiver.description.document import ROUTES
from tests.settings_table import meanings, with_table
from workers.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
API = (ROOT / "deploy" / "api.md").read_text()
GUIDES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*.md"))
DEPLOYED = ["deploy/example.env", "deploy/compose.yaml"]
CONFIGURED = [".pre-commit-config.yaml", "pyproject.toml"]
EXAMPLE = (ROOT / "deploy" / "example.env").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def code(markdown: str) -> str:
    """Only what stands in code spans and blocks."""
    spans = re.findall(r"`([^`]+)`", FENCED.sub("", markdown))
    return "\n".join([*FENCED.findall(markdown), *spans])


def first_cells(title: str, document: str = README) -> list[str]:
    section = document.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"(?m)^\| `([^`]+)` \|", section)


def example() -> dict[str, str]:
    return dict(re.findall(r"(?m)^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE))


def targets() -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z-]+):.*## (.+)$", MAKEFILE))


def known() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def test_every_setting_is_in_the_example():
    assert set(example()) == known()


def test_every_setting_is_in_the_readme_once():
    assert sorted(first_cells("Settings")) == sorted(known())


def test_the_table_of_settings_is_that_of_the_settings():
    assert with_table(README) == README, "stale; run: make settings-table"


def test_every_setting_says_what_it_is():
    said = meanings()
    assert [name for name in Settings.model_fields if not said.get(name)] == []


def test_the_example_states_the_defaults():
    assert Settings.from_env(example()) == Settings()


def test_the_example_as_it_is_sets_nothing():
    assert re.findall(r"(?m)^[^#\s].*$", EXAMPLE) == []


def test_every_variable_of_the_example_is_explained():
    blocks = [block.splitlines() for block in EXAMPLE.split("\n\n")]
    for block in blocks:
        variables = [line for line in block if re.match(r"#[A-Z_]+=", line)]
        assert not variables or block[0].startswith("# "), variables


def test_the_readme_lists_the_commands():
    assert [cell.removeprefix("swiftia-receiver ") for cell in first_cells("Commands")] == list(COMMANDS)


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", *DEPLOYED, *GUIDES])
def test_every_command_that_is_named_is_there(document):
    text = code((ROOT / document).read_text())
    assert set(re.findall(r"swiftia-receiver (?:-\S+ )*([a-z][a-z-]*)", text)) <= set(COMMANDS)


def test_the_guide_to_the_api_lists_the_routes():
    assert sorted(first_cells("Routes", API)) == sorted(route.shown for route in ROUTES)


def test_the_guide_to_the_api_lists_the_routes_of_the_console():
    assert sorted(first_cells("The console", API)) == sorted(screen.shown for screen in SCREENS)


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", *CONFIGURED, *GUIDES])
def test_every_make_target_that_is_named_is_there(document):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"(?<![\w-])make (?:ARGS=\S+ )?([a-z-]+)", code(text) if document.endswith(".md") else text))
    assert named <= set(targets())


def test_make_helps_by_default_and_knows_its_targets():
    phony = re.search(r"(?m)^\.PHONY: (.+)$", MAKEFILE)
    assert phony
    assert sorted(phony[1].split()) == sorted(targets())
    assert ".DEFAULT_GOAL := help" in MAKEFILE


@pytest.mark.parametrize("document", ["README.md", *GUIDES])
def test_every_file_that_is_named_is_there(document):
    text = (ROOT / document).read_text()
    named = set(re.findall(r"(?<![\w/-])(?:tests|workers|receiver|deploy|requirements|\.ci)/[\w.*/-]+", code(text)))
    named |= set(re.findall(r"\]\(([\w./-]+)\)", text)) if document == "README.md" else set()
    made_by_the_reader = {"deploy/.env"}
    assert [name for name in sorted(named - made_by_the_reader) if not list(ROOT.glob(name))] == []


def test_the_readme_leads_to_every_guide():
    assert set(GUIDES) <= set(re.findall(r"deploy/[\w/-]+\.md", README))


def test_the_changelog_begins_with_what_is_not_released():
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == "[Unreleased]"
