import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import launch
from receiver.launch import plan, worker_counts
from workers.errors import InvalidSettings
from workers.settings import Settings
from workers.work import DELIVERIES, FILES, LANES, UPSTREAM


def test_with_a_key_nothing_is_changed():
    env = {"SWIFTIA_API_KEY": "k", "PORT": "9000"}
    found = plan(env, sandbox_allowed=True)
    assert found.env == env
    assert found.sandbox_url is None


def test_without_a_key_everything_points_at_the_sandbox():
    found = plan({"PORT": "9000", "TRUSTED_NETWORKS": "10.0.0.0/8"}, sandbox_allowed=True)
    assert found.sandbox_url == "http://127.0.0.1:9010"
    assert found.settings.swiftia_base_url == "http://127.0.0.1:9010"
    assert found.settings.swiftia_api_key is not None
    assert found.env["SANDBOX_API_KEY"] == found.settings.swiftia_api_key.get_secret_value()
    assert str(found.settings.rate_limit) == "5/1s"
    assert [str(network) for network in found.settings.trusted_networks] == ["10.0.0.0/8", "127.0.0.0/8"]
    # What the children read is what the plan says.
    assert Settings.from_env(found.env) == found.settings


@pytest.mark.parametrize(
    ("env", "limit"),
    [
        ({}, "5/1s"),
        ({"SWIFTIA_RATE_LIMIT": "1/2s"}, "1/2s"),
        ({"SWIFTIA_PLAN": "pro"}, "1/1s"),
        ({"SANDBOX_RATE_LIMIT": "50/1s"}, "50/1s"),
        ({"SWIFTIA_RATE_LIMIT": " "}, "5/1s"),
    ],
)
def test_the_limit_is_the_one_that_was_given_or_the_sandboxs(env, limit):
    assert str(plan(env, sandbox_allowed=True).settings.rate_limit) == limit


@pytest.mark.parametrize(
    ("env", "allowed", "words"),
    [
        ({}, False, "--no-sandbox forbids"),
        ({"SWIFTIA_BASE_URL": "https://app.swiftia.io"}, True, "set the key, or unset both"),
        ({"SANDBOX_PORT": "x"}, True, "SANDBOX_PORT"),
        ({"SANDBOX_PORT": "8000"}, True, "a port of its own"),
        ({"SANDBOX_PORT": "9" * 5000}, True, "SANDBOX_PORT"),
        ({"PORT": "65530"}, True, "SANDBOX_PORT='65540'"),
        ({"PORT": "http"}, True, "PORT='http'"),
    ],
)
def test_what_cannot_be_started_is_said_before_anything_is(env, allowed, words):
    with pytest.raises(InvalidSettings, match=words):
        plan(env, sandbox_allowed=allowed)


@given(st.integers(1, 256))
@settings(max_examples=50)
def test_every_lane_has_a_worker_and_none_is_lost(workers):
    counts = worker_counts(workers)
    assert counts.pop(DELIVERIES) == 1
    assert set(counts) == set(LANES)
    assert min(counts.values()) >= 1
    assert sum(counts.values()) == max(workers, len(LANES))


@given(st.integers(1, 256), st.integers(1, 40))
@settings(max_examples=50)
def test_a_further_account_brings_the_worker_that_it_may_hold(workers, accounts):
    alone, counts = worker_counts(workers), worker_counts(workers, accounts)
    assert (counts[FILES], counts[DELIVERIES]) == (alone[FILES], alone[DELIVERIES])
    assert counts[UPSTREAM] == min(workers, alone[UPSTREAM] + accounts - 1)


def test_the_children_are_one_process_for_each_count():
    found = plan({"WORKERS": "5", "GRACE_SECONDS": "7s"}, sandbox_allowed=True)
    names = [child.name for child in launch.workers(found, worker_counts(5))]
    upstream, files = ["worker-upstream-1", "worker-upstream-2"], [f"worker-files-{n}" for n in (1, 2, 3)]
    assert names == [*upstream, *files, "worker-deliveries-1"]
    assert launch.web(found).stop_seconds == 17
    assert launch.sandbox(found).env == found.env
    ours = [launch.web(found), launch.clock(found), *launch.workers(found, worker_counts(5))]
    assert {child.watchdog_seconds for child in ours} == {20}
    assert launch.sandbox(found).watchdog_seconds is None


def test_the_call_names_what_another_terminal_must_know():
    words = launch.call({"DATA_DIR": "/srv/a b", "PORT": "9000", "ADMIN_TOKEN": "not shown"}, "jobs")
    assert words.startswith("DATA_DIR='/srv/a b' PORT=9000 ")
    assert words.endswith(" jobs")
    assert "not shown" not in words
