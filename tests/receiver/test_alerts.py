"""The alert rules and the dashboard: each alert fires and keeps quiet as it should, and they ask for what is there.

promtool, of Debian's package ``prometheus``, is what Prometheus itself checks rules and metrics with.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from workers import tracing
from workers.measures import LABELS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "swiftia-receiver.json"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
P = "swiftia_receiver_"
HOUR = "1h5m"

# By alert: the series in which it fires, those in which it does not, and when to look. Steps of a minute.
CASES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "SwiftiaReceiverDown": (
        {'up{job="swiftia-receiver"}': "0x10"},
        {'up{job="swiftia-receiver"}': "1 0 1x10", 'up{job="other"}': "0x10"},
        "5m",
    ),
    "SwiftiaReceiverRedisAway": ({f"{P}redis_up": "0x10"}, {f"{P}redis_up": "1 0 1x10"}, "5m"),
    "SwiftiaReceiverCallbacksNotStored": (
        {f'{P}callbacks_refused_total{{cause="not_stored"}}': "0 0 1x20"},
        {f'{P}callbacks_refused_total{{cause="token"}}': "0+9x20"},
        "5m",
    ),
    "SwiftiaReceiverSpoolWaits": (
        {f"{P}spool_callbacks": "3x30", f"{P}redis_up": "1x30"},
        {f"{P}spool_callbacks": "3x30", f"{P}redis_up": "0x30"},
        "20m",
    ),
    "SwiftiaReceiverCallbacksRefused": (
        {f'{P}callbacks_refused_total{{cause="token"}}': "0+1x90"},
        {
            f'{P}callbacks_refused_total{{cause="size"}}': "0+9x90",
            f'{P}callbacks_refused_total{{cause="token"}}': "0x30 9x60",
        },
        HOUR,
    ),
    "SwiftiaReceiverAcceptSlow": (
        {
            f'{P}callback_accept_seconds_bucket{{le="0.5"}}': "0+90x60",
            f'{P}callback_accept_seconds_bucket{{le="1.0"}}': "0+100x60",
            f'{P}callback_accept_seconds_bucket{{le="+Inf"}}': "0+100x60",
        },
        {
            f'{P}callback_accept_seconds_bucket{{le="0.5"}}': "0+100x60",
            f'{P}callback_accept_seconds_bucket{{le="1.0"}}': "0+100x60",
            f'{P}callback_accept_seconds_bucket{{le="+Inf"}}': "0+100x60",
        },
        "40m",
    ),
    "SwiftiaReceiverClockSilent": (
        {f'{P}clock_age_seconds{{lane="files"}}': "+Inf " * 10},
        {f'{P}clock_age_seconds{{lane="files"}}': "0.2 300 0.2x10"},
        "5m",
    ),
    "SwiftiaReceiverWorkLate": (
        {f'{P}due_overdue_seconds{{class="watch",account="acme"}}': "400x30"},
        {f'{P}due_overdue_seconds{{class="watch"}}': "200x30", f'{P}due_overdue_seconds{{class="deliver"}}': "400x30"},
        "20m",
    ),
    "SwiftiaReceiverStepsFail": (
        {f'{P}step_seconds_count{{step="keep",outcome="crashed"}}': "0+1x30"},
        {f'{P}step_seconds_count{{step="keep",outcome="done"}}': "0+99x30"},
        "20m",
    ),
    "SwiftiaReceiverParked": (
        {f'{P}parked_total{{subject="job",state="fetching"}}': "0x10 1x90"},
        {f'{P}parked_total{{subject="delivery",state="pending"}}': "0x10 1x90"},
        "20m",
    ),
    "SwiftiaReceiverRenderUnsure": (
        {f"{P}renders_unsure_total": "0x10 1x90"},
        {f"{P}renders_unsure_total": "4x90"},
        "20m",
    ),
    "SwiftiaReceiverCredentialsRefused": (
        {f'{P}credentials_ok{{account="acme"}}': "0x10", f'{P}credentials_ok{{account="beta"}}': "1x10"},
        {f"{P}credentials_ok": "1 0 1x10"},
        "5m",
    ),
    "SwiftiaReceiverBreakerOpen": ({f"{P}breaker_open": "1x30"}, {f"{P}breaker_open": "1x5 0 1x5 0 1x30"}, "15m"),
    "SwiftiaReceiverRateLimited": (
        {f'{P}upstream_refused_total{{cause="stranger"}}': "0x10 9x90"},
        {f'{P}upstream_refused_total{{cause="ours"}}': "0x10 2x90"},
        "40m",
    ),
    "SwiftiaReceiverUpstreamErrors": (
        {
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="503"}}': "0+2x60",
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="none"}}': "0+2x60",
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="200"}}': "0+6x60",
        },
        {
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="503"}}': "0+1x60",
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="404"}}': "0+5x60",
            f'{P}upstream_requests_total{{route="GET /api/jobs/{{id}}",code="200"}}': "0+6x60",
        },
        "40m",
    ),
    "SwiftiaReceiverDeliveriesFail": (
        {f'{P}due_overdue_seconds{{class="deliver"}}': "1000x30"},
        {f'{P}due_overdue_seconds{{class="deliver"}}': "600x30", f'{P}due_overdue_seconds{{class="keep"}}': "200x30"},
        "20m",
    ),
    "SwiftiaReceiverDeliveriesParked": ({f"{P}deliveries_parked": "2x20"}, {f"{P}deliveries_parked": "0x20"}, "10m"),
    "SwiftiaReceiverDiskFull": ({f"{P}storage_paused": "1x20"}, {f"{P}storage_paused": "1x4 0 1x4 0x20"}, "10m"),
    "SwiftiaReceiverUpstreamStorageFull": (
        {f'{P}upstream_storage_used_percent{{account="acme"}}': "91x30"},
        {f'{P}upstream_storage_used_percent{{account=""}}': "89x30"},
        "20m",
    ),
    "SwiftiaReceiverArchiveSoon": ({f"{P}archive_soon": "1x90"}, {f"{P}archive_soon": "0x90"}, "70m"),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI"):
        pytest.fail("there is no promtool; apt install prometheus")
    if found is None:
        pytest.skip("there is no promtool; apt install prometheus")
    return found


def asked(promtool: str, *words: str | Path, text: str = "") -> str:
    done = subprocess.run([promtool, *words], input=text, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_well_formed(promtool):
    assert f"{len(ALERTS)} rules found" in asked(promtool, "check", "rules", RULES)


def test_every_alert_has_its_cases():
    assert [alert["alert"] for alert in ALERTS] == list(CASES)


def test_every_alert_fires_when_it_should_and_only_then(promtool, tmp_path):
    tests = [
        unit_test(name, values, at, fires=fires) for name, both in CASES.items() for fires, values, at in _cases(both)
    ]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in asked(promtool, "test", "rules", path)


def test_an_alert_that_keeps_quiet_would_be_noticed(promtool, tmp_path):
    _, quiet, at = CASES["SwiftiaReceiverParked"]
    tests = [unit_test("SwiftiaReceiverParked", quiet, at, fires=True)]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    with pytest.raises(AssertionError):
        asked(promtool, "test", "rules", path)


def _cases(both: tuple[dict[str, str], dict[str, str], str]) -> list[tuple[bool, dict[str, str], str]]:
    firing, quiet, at = both
    return [(True, firing, at), (False, quiet, at)]


def unit_test(name: str, values: dict[str, str], at: str, *, fires: bool) -> dict[str, Any]:
    """Ask how many alerts of the name fire: their words are not the point."""
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{name} {'fires' if fires else 'keeps quiet'}",
        "interval": "1m",
        "input_series": [{"series": series, "values": numbers} for series, numbers in values.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                "eval_time": at,
                "exp_samples": expected,
            }
        ],
    }


def test_every_alert_says_what_is_the_matter_and_what_to_do():
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]
        assert len(alert["annotations"]["summary"]) < 120, alert["alert"]
        assert len(alert["annotations"]["description"]) > 60, alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [
        *(alert["expr"] for alert in ALERTS),
        *(one["expr"] for panel in panels() for one in panel["targets"]),
    ]


def families(api: Any) -> dict[str, str]:
    return {family.name: family.type for family in text_string_to_metric_families(api.get("/metrics").text)}


def names(found: dict[str, str]) -> set[str]:
    """As they are asked for."""
    endings = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for name, kind in found.items() for ending in endings[kind]}


def test_what_alerts_and_dashboard_ask_for_is_there(api):
    used = {name for text in expressions() for name in re.findall(rf"{P}\w+", text)}
    assert used - names(families(api)) == set()


def test_the_dashboard_leaves_out_little_of_what_there_is(api):
    text = " ".join(expressions())
    unused = {name for name in families(api) if f"{name}" not in text}
    assert unused == set()


def test_the_labels_that_they_ask_for_are_there():
    known = {"le", "instance", "job", "account", "class", "lane", "cause", "outcome", "event", "state"}
    known |= {label for labels in LABELS.values() for label in labels}
    text = " ".join(expressions())
    asked_for = set(re.findall(r"(\w+)=~?\"", text))
    for group in re.findall(r"(?:by|without) \(([^)]*)\)", text):
        asked_for |= {label.strip() for label in group.split(",")}
    assert asked_for - known == set()


def test_panels_lie_side_by_side_and_say_what_they_show():
    places: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        grid = panel["gridPos"]
        place = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not place & places, panel["title"]
        assert max(x for x, _ in place) < 24
        places |= place
    assert all(panel["description"] and panel["targets"] for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.parametrize("several", [False, True])
def test_prometheus_finds_nothing_to_complain_of(promtool, api, several, redis):
    fill(redis, several=several)
    text = api.get("/metrics").text
    assert f"{P}step_seconds_bucket" in text
    assert asked(promtool, "check", "metrics", text=text) == ""


def fill(redis: Any, *, several: bool) -> None:
    redis.hset("sr:measures", mapping={"step|fetch|done|3": 2, "step|fetch|done|sum": 70, "bytes|video": 9})
    redis.hset("sr:counts", mapping={"finished": 2, "render.unsure": 1})
    if several:
        redis.hset(
            "sr:budget:measures", mapping={"requests|GET /api/jobs/{id}|200": 3, "request|GET /api/jobs/{id}|1": 3}
        )


def test_the_expressions_of_the_dashboard_can_be_read(promtool, tmp_path):
    rules = [
        {"record": f"panel:{n}", "expr": text.replace("$__rate_interval", "5m")} for n, text in enumerate(expressions())
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in asked(promtool, "check", "rules", path)


def test_the_guide_lists_what_there_is(api):
    guide = (ROOT / "deploy" / "observing.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (.+) \|$", guide))
    scraped = list(text_string_to_metric_families(api.get("/metrics").text))
    metrics = {
        one.name + ("_total" if one.type == "counter" else ""): f"{one.type}: {one.documentation}" for one in scraped
    }
    alerts = {alert["alert"]: alert["labels"]["severity"] for alert in ALERTS}
    assert rows == {**metrics, **alerts}
    assert set(re.findall(r"`([a-z.]+)`", guide)) >= tracing.NAMES
