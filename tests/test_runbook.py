"""The runbook has a section for whatever calls for a person, and names nothing that is not there."""

import re
from pathlib import Path

import pytest
import yaml

from receiver.cli import COMMANDS
from workers.parking import KNOWN, OTHER
from workers.settings import Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
GUIDES = [DEPLOY / "runbook.md", DEPLOY / "backup.md"]
SECTIONS = re.findall(r"^### (\S+)$", GUIDES[0].read_text(), re.MULTILINE)


def test_every_reason_and_every_alert_has_its_section_once():
    alerts = [rule["alert"] for group in RULES for rule in group["rules"]]
    assert sorted(SECTIONS) == sorted([*(why.group for why in KNOWN), OTHER, *alerts])


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_command_and_variable_that_is_named_is_there(guide):
    text = guide.read_text()
    commands = set(re.findall(r"swiftia-receiver ([a-z-]+)", text))
    assert commands
    assert commands <= set(COMMANDS)
    variables = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text))
    assert variables
    assert variables <= {name.upper() for name in Settings.model_fields}
