"""What kustomize makes of deploy/kubernetes, held against the schemas, the settings and the code."""

import copy
import json
import re
from pkgutil import resolve_name

import pytest
import yaml

from receiver import launch
from receiver.cli import COMMANDS
from tests.deploy.tools import ROOT, locked_tool, told
from workers.settings import Settings, look_alikes
from workers.work import CLASSES, DELIVERIES, FILES, LANES

OVERLAYS = ("single", "ha")
FOREIGN = ("ScaledObject", "ServiceMonitor")
SECRET = {
    "ADMIN_TOKEN": "an-admin-token-for-tests",
    "CALLBACK_KEYS": "a-callback-key-for-tests",
    "SWIFTIA_API_KEY": "key",
    "REDIS_URL": "redis+sentinel://a:26379,b:26379/primary/0",
}


@pytest.fixture(scope="module")
def rendered():
    kubectl = locked_tool("kubectl")
    folder = ROOT / "deploy/kubernetes/overlays"
    return {name: told(kubectl, "kustomize", folder / name) for name in OVERLAYS}


@pytest.fixture(scope="module")
def objects(rendered):
    return {name: [one for one in yaml.safe_load_all(text) if one] for name, text in rendered.items()}


def of_kind(objects, *kinds):
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in kinds}


def pods(objects):
    found = of_kind(objects, "Deployment", "StatefulSet")
    return {name: one["spec"]["template"]["spec"] for name, one in found.items()}


def settings_of(objects):
    (config,) = of_kind(objects, "ConfigMap").values()
    return config["data"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_knows_every_field(rendered, tmp_path, overlay):
    validate = locked_tool("kubernetes-validate")
    path = tmp_path / "all.yaml"
    path.write_text(rendered[overlay])
    answer = told(validate, "--strict", path)
    known = [line for line in answer.splitlines() if "passed for resource" in line]
    unknown = re.findall(r"Couldn't find schema for kind (\w+)", answer)
    assert len(known) + len(unknown) == len([one for one in yaml.safe_load_all(rendered[overlay]) if one])
    assert set(unknown) <= set(FOREIGN)


def test_keda_and_the_prometheus_operator_know_every_field(objects):
    python = locked_tool("python")
    documents = list(of_kind(objects["ha"], *FOREIGN).values())
    assert [one["kind"] for one in documents] == list(FOREIGN)
    wrong = copy.deepcopy(documents[0])
    wrong["spec"]["pollingIntervall"] = 3
    answer = told(python, ROOT / "tests/deploy/crds.py", text=json.dumps([*documents, wrong]))
    assert answer.splitlines() == ["ScaledObject.spec.pollingIntervall is not known"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_settings_can_be_read(objects, overlay):
    given = settings_of(objects[overlay])
    settings = Settings.from_env(given | SECRET)
    assert {name.lower() for name in given} <= settings.model_fields_set
    assert not set(given) & set(SECRET), "secrets belong to the secret"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_come_by_reference_and_nothing_else_is_in_the_environment(objects, overlay):
    assert not of_kind(objects[overlay], "Secret")
    (config,) = of_kind(objects[overlay], "ConfigMap")
    for pod in pods(objects[overlay]).values():
        (container,) = pod["containers"]
        wanted = [{"configMapRef": {"name": config}}, {"secretRef": {"name": "swiftia-receiver"}}]
        assert container["envFrom"] == wanted
        assert "env" not in container


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_puts_no_variables_there_that_look_like_settings(objects, overlay):
    assert look_alikes({"SWIFTIA_RECEIVER_PORT": "tcp://10.0.0.1:80"}) != []
    assert all(pod["enableServiceLinks"] is False for pod in pods(objects[overlay]).values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_fulfils_the_restricted_standard(objects, overlay):
    (namespace,) = of_kind(objects[overlay], "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(objects[overlay]).values():
        assert pod["automountServiceAccountToken"] is False
        own = pod["securityContext"]
        assert (own["runAsNonRoot"], own["runAsUser"]) == (True, 10001)
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_runs_a_command_of_ours_and_stops_in_peace(objects, overlay):
    plan = launch.plan({"SWIFTIA_API_KEY": "k", **settings_of(objects[overlay])}, sandbox_allowed=False)
    children = [launch.web(plan), launch.clock(plan), *launch.workers(plan, launch.worker_counts(4))]
    longest = max(child.stop_seconds or 0 for child in children)
    for pod in pods(objects[overlay]).values():
        (container,) = pod["containers"]
        name, *options = container["args"]
        command = resolve_name(COMMANDS[name])
        assert set(command.make_context(name, list(options)).params) >= {
            word[2:] for word in options if word == "--count"
        }
        # `up` stops the workers first, then the door.
        needed = 2 * longest if name == "up" else longest
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] > needed + before


def test_all_roles_are_there(objects):
    commands = {name: pod["containers"][0]["args"] for name, pod in pods(objects["ha"]).items()}
    assert commands["web"] == ["web"]
    assert commands["clock"] == ["clock", "--watched"]
    lanes = {words[2] for words in commands.values() if words[0] == "worker"}
    assert lanes == {*LANES, DELIVERIES}
    assert {name: pod["containers"][0]["args"][0] for name, pod in pods(objects["single"]).items()} == {"web": "up"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_door_is_asked_how_it_is_and_keeps_its_spool(objects, overlay):
    web = of_kind(objects[overlay], "StatefulSet")["web"]["spec"]
    (container,) = web["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = Settings.from_env(settings_of(objects[overlay]) | SECRET)
    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert [claim["metadata"]["name"] for claim in web["volumeClaimTemplates"]] == ["data"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_door_is_public(objects, overlay):
    (ingress,) = of_kind(objects[overlay], "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/webhooks/swiftia"]
    assert settings_of(objects[overlay])["PUBLIC_URL"] == f"https://{rule['host']}"
    backend = rule["http"]["paths"][0]["backend"]["service"]
    ports = of_kind(objects[overlay], "Service")[backend["name"]]["spec"]["ports"]
    assert backend["port"]["name"] in {port["name"] for port in ports}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_is_selected_is_there(objects, overlay):
    workloads = of_kind(objects[overlay], "Deployment", "StatefulSet").values()
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in workloads]
    for one in of_kind(objects[overlay], "Service", "PodDisruptionBudget").values():
        wanted = one["spec"]["selector"]
        wanted = wanted.get("matchLabels", wanted)
        chosen = [own for own in labels if wanted.items() <= own.items()]
        assert len(chosen) == 1, one["metadata"]["name"]
        assert wanted["app.kubernetes.io/component"]


def test_every_role_has_a_disruption_budget_and_no_number_beside_its_scaler(objects):
    workloads = of_kind(objects["ha"], "Deployment", "StatefulSet")
    assert set(of_kind(objects["ha"], "PodDisruptionBudget")) == set(workloads)
    scalers = of_kind(objects["ha"], "HorizontalPodAutoscaler", "ScaledObject").values()
    for one in scalers:
        target = one["spec"]["scaleTargetRef"]
        assert workloads[target["name"]]["kind"] == target["kind"]
        assert "replicas" not in workloads[target["name"]]["spec"]


def test_downloads_are_scaled_by_a_number_that_there_is(objects):
    (scaler,) = of_kind(objects["ha"], "ScaledObject").values()
    (trigger,) = scaler["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    metric, labels = re.search(r"(swiftia_receiver_\w+)\{([^}]+)\}", query).groups()
    assert f"`{metric}`" in (ROOT / "deploy/observing.md").read_text()
    wanted = dict(re.findall(r'(\w+)="([^"]+)"', labels))
    assert wanted["class"] in CLASSES[FILES]
    (monitor,) = of_kind(objects["ha"], "ServiceMonitor").values()
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    web = of_kind(objects["ha"], "Service")["web"]
    assert web["metadata"]["labels"]["app.kubernetes.io/name"] == wanted["job"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= web["metadata"]["labels"].items()
    ports = {port["name"] for port in web["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
