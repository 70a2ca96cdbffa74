"""The runs of ``make chaos``, each in its short form; that of ``away`` is in ``tests/receiver/test_door_spool.py``."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import kills, rolling, silent, storm, telling
from tests.chaos.balance import Balance

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Record = Callable[[str, object], None]


def shown(found: Balance, record_property: Record) -> dict[str, object]:
    for title, value in found.figures.items():
        record_property(title, value)
    assert not found.violations, found
    return found.figures


def test_whatever_befalls_it_the_books_balance(tmp_path: Path, record_property: Record) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    record_property("seed", seed)
    figures = shown(storm.run(tmp_path, seed, 16, print), record_property)
    assert int(str(figures["killed"]).partition(":")[0]) > 4
    if "CI" in os.environ:
        assert figures["not to be had here"] == "nothing"


def test_a_killed_step_runs_again_in_time(tmp_path: Path, record_property: Record) -> None:
    shown(kills.run(tmp_path, 1, 3, print), record_property)


def test_a_rolling_restart_loses_and_doubles_nothing(tmp_path: Path, record_property: Record) -> None:
    shown(rolling.run(tmp_path, 1, 4, print), record_property)


def test_every_job_ends_though_swiftia_never_calls(tmp_path: Path, record_property: Record) -> None:
    shown(silent.run(tmp_path, 1, 8, print), record_property)


def test_every_application_is_told_of_everything_whatever_the_others_do(
    tmp_path: Path, record_property: Record
) -> None:
    shown(telling.run(tmp_path, 1, 12, print), record_property)
