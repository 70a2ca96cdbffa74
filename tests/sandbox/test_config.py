import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import InvalidSettings
from workers.sandbox import SandboxConfig
from workers.sandbox.limiter import Rate


def test_a_newcomer_sets_nothing():
    config = SandboxConfig.from_env({})

    assert config == SandboxConfig()
    assert (config.host, config.port, config.api_key) == ("127.0.0.1", 8010, "sandbox-key")
    assert config.rate == Rate(5, 1.0)


def test_variables_are_read():
    env = {
        "SANDBOX_RATE_LIMIT": "1/5s",
        "SANDBOX_DIALECT": "g1, kb",
        "SANDBOX_5XX": "0.25",
        "SANDBOX_TWICE": "0.1",
        "SANDBOX_EXTRAS": "no",
        "SANDBOX_WEBHOOK_BODIES": "whole,empty",
        "SANDBOX_FILM_BYTES": "1000-5000",
        "SANDBOX_PORT": "0",
        "PATH": "/bin",
    }

    config = SandboxConfig.from_env(env)

    assert config.rate == Rate(1, 5.0)
    assert config.dialects == ("g1", "kb")
    assert (config.server_errors, config.twice, config.extras, config.port) == (0.25, 0.1, False, 0)
    assert config.body_forms == ("whole", "empty")
    assert config.film_range == (1000, 5000)


def test_every_problem_is_reported_at_once():
    with pytest.raises(InvalidSettings) as caught:
        SandboxConfig.from_env({"SANDBOX_TWISE": "1", "SANDBOX_PORT": "many", "SANDBOX_EXTRAS": "maybe"})

    assert caught.value.problems == [
        "SANDBOX_EXTRAS='maybe' is not true or false",
        "SANDBOX_PORT='many' is not a whole number",
        "SANDBOX_TWISE is not a setting of the sandbox; did you mean SANDBOX_TWICE?",
    ]


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(InvalidSettings) as caught:
        SandboxConfig(rate_limit="5 per second", slow=1.5, dialect="g9", film_bytes="9-3", api_key="", port=True)

    assert [problem.partition("=")[0] for problem in caught.value.problems] == [
        "SANDBOX_PORT",
        "SANDBOX_API_KEY",
        "SANDBOX_DIALECT",
        "SANDBOX_RATE_LIMIT",
        "SANDBOX_FILM_BYTES",
        "SANDBOX_SLOW",
    ]


def test_faults_that_exclude_each_other_add_up_to_one_at_most():
    with pytest.raises(InvalidSettings, match="add up to more than 1"):
        SandboxConfig(resets=0.6, html=0.6)


def test_a_change_is_checked_and_some_fields_cannot_change():
    config = SandboxConfig().changed({"resets": 0.5, "rate_limit": "1/2s", "extras": False, "late_seconds": "3"})

    assert (config.resets, config.rate.seconds, config.extras, config.late_seconds) == (0.5, 2.0, False, 3.0)
    with pytest.raises(InvalidSettings) as caught:
        config.changed({"port": 1, "resets": "often", "reset": 1})
    assert caught.value.problems == [
        "port cannot be changed while the sandbox runs",
        "reset is not a setting of the sandbox; did you mean resets?",
        "resets='often' is not a number",
    ]


def test_the_key_is_not_shown():
    assert "open-sesame" not in repr(SandboxConfig(api_key="open-sesame"))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["SANDBOX_PORT", "SANDBOX_RATE_LIMIT", "SANDBOX_SLOW_SECONDS"]), st.text()))
def test_any_text_is_read_or_refused_as_ours(env):
    try:
        config = SandboxConfig.from_env(env)
    except InvalidSettings:
        return
    assert config.rate.count > 0
