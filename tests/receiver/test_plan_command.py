"""What `plan` says, and that it is the same with the same seed."""

import json

import pytest
from click.testing import CliRunner, Result

from receiver.cli import cli


def run(*words: str, **env: str) -> Result:
    return CliRunner().invoke(cli, ["plan", "--jobs-per-day", *words], obj=env, catch_exceptions=False)


def test_a_load_that_fits():
    result = run("1000", "--shorts", "1", "--plan", "pro")
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    assert first == "1,000 jobs a day with 1 renders each, 1/1s: fits"
    for name in ("requests a job", "ceiling", "done to kept", "workers", "Redis", "simulated", "measured"):
        assert f"\n{name} " in result.stdout


def test_a_load_that_does_not():
    assert "DOES NOT FIT" in run("20000", "--plan", "free").stdout


def test_a_million_jobs_over_many_accounts():
    result = run("1000000", "--accounts", "100", "--shorts", "1", "--rate-limit", "5/1s", "--link", "2e9", "--json")
    found = json.loads(result.stdout)
    assert found["plan_of_one_account"]["jobs_per_day"] == 10_000
    assert found["plan_of_one_account"]["fits"] is True
    assert found["needs_of_all"]["files_per_day"] == pytest.approx(1e6 * 20_000_000)
    assert "which stands for all" in run("1000", "--accounts", "100", "--shorts", "0").stdout


def test_the_allowance_is_that_of_the_settings_unless_another_is_asked_for():
    assert ", 5/1s:" in run("10", "--shorts", "0", SWIFTIA_PLAN="swift").stdout
    assert ", 1/2s:" in run("10", "--shorts", "0", "--plan", "starter", SWIFTIA_PLAN="swift").stdout
    assert ", 7/3s:" in run("10", "--shorts", "0", "--plan", "pro", "--rate-limit", "7/3s").stdout


def test_jobs_are_kept_as_the_settings_say_unless_it_is_said():
    assert "for the jobs of 365 days" in run("10", "--shorts", "0", RETENTION_DAYS="0").stdout
    assert "for the jobs of 0 days" in run("10", "--shorts", "0", "--kept-days", "0", RETENTION_DAYS="7").stdout


@pytest.mark.parametrize(
    "words", [["0"], ["many"], ["10", "--rate-limit", "fast"], ["10", "--plan", "gold"], ["10", "--accounts", "0"]]
)
def test_what_cannot_be_planned_is_refused(words):
    assert run(*words).exit_code == 2
