"""The manifests of deploy/kubernetes, held against the schemas of Kubernetes and against the service itself.

That of KServe's own resource is read by KServe's library in tests/clients.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.settings import Settings
from service.version import VERSION
from service.workers.worker import longest_stop_s
from support import public_surface
from support.scraper import Scraper
from support.service_process import ROOT, StartService, wait_until
from support.tiny_checkpoints import write_tiny

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.33", "1.37")
"""Of Kubernetes, old and new."""

DOCUMENTS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yaml")
}
OURS = (
    "deployment",
    "service",
    "autoscaler",
    "disruption-budget",
    "network-policy",
    "metrics-adapter",
)
OF_OTHERS = ("inference-service", "pod-monitor")
"""Resources of KServe and of the Prometheus operator."""
DEFAULT_GRACE_S = 30
"""What Kubernetes grants a pod to stop."""


def pods() -> list[dict[str, Any]]:
    """The containers of the deployment and of KServe's resource."""
    deployment = DOCUMENTS["deployment"]["spec"]["template"]["spec"]
    return [*deployment["containers"], *DOCUMENTS["inference-service"]["spec"]["predictor"]["containers"]]


def test_all_manifests_are_known():
    assert set(DOCUMENTS) == {*OURS, *OF_OTHERS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OURS)
def test_a_manifest_obeys_its_schema(name: str, version: str):
    kubernetes_validate.validate(DOCUMENTS[name], version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pod_that_kserve_makes_obeys_its_schema(version: str):
    predictor = DOCUMENTS["inference-service"]["spec"]["predictor"]
    spec = {name: value for name, value in predictor.items() if not name.endswith("Replicas")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "latent-service"}, "spec": spec}
    kubernetes_validate.validate(pod, version, strict=True)


def test_an_unknown_field_would_be_found():
    spoilt = {**DOCUMENTS["service"], "spec": {**DOCUMENTS["service"]["spec"], "prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, VERSIONS[0], strict=True)


@pytest.mark.parametrize("container", pods(), ids=lambda container: container["name"])
def test_what_a_container_is_told_is_what_the_service_knows(container: dict[str, Any]):
    paths = {
        route.path for route in public_surface.routes(create_app(Settings()).routes) if hasattr(route, "path")
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if probe in container:
            assert container[probe]["httpGet"]["path"] in paths
    names = {one["name"] for one in container["env"]} - {"STORAGE_URI"}
    assert names <= {f"LATENT_{name.upper()}" for name in Settings.model_fields}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_what_kserve_brings_serves_as_the_manifest_says(tmp_path: Path, start_service: StartService):
    (container,) = DOCUMENTS["inference-service"]["spec"]["predictor"]["containers"]
    told = {one["name"].removeprefix("LATENT_").lower(): one["value"] for one in container["env"]}
    assert told.pop("checkpoints") == "/mnt/models"
    assert int(told.pop("port")) == container["ports"][0]["containerPort"]
    timeout_s = told.pop("request_timeout_s")
    assert told.keys() == {"storage_uri", "allow_no_key"}  # the latter is for addresses beyond loopback
    write_tiny(tmp_path / "made", version=3).rename(tmp_path / "checkpoints")
    service = start_service(request_timeout_s=timeout_s)
    for probe in ("readinessProbe", "livenessProbe"):
        assert service.get(container[probe]["httpGet"]["path"]).status_code == 200
    assert service.get("/v2/models/tiny.decode/versions/3").json()["versions"] == ["3"]


def test_the_pieces_name_each_other():
    deployment, service, scaler = (DOCUMENTS[name] for name in ("deployment", "service", "autoscaler"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}


Environment = dict[str, str]


def stop_s(environment: Environment) -> float:
    """Return the most time that the service takes to stop with these of its variables, in seconds."""
    given: dict[str, Any] = {
        name: environment[variable]
        for name in ("drain_delay_s", "request_timeout_s")
        if (variable := f"LATENT_{name.upper()}") in environment
    }
    return longest_stop_s(Settings(**given))


def grants() -> dict[str, tuple[float, Environment]]:
    """Return the seconds that a container has to stop, and its environment, by what starts it."""
    deployment = DOCUMENTS["deployment"]["spec"]["template"]["spec"]
    predictor = DOCUMENTS["inference-service"]["spec"]["predictor"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["latent-service"]
    ours, kserve = ({one["name"]: one["value"] for one in container["env"]} for container in pods())
    return {
        "deployment": (deployment["terminationGracePeriodSeconds"], ours),
        "inference-service": (predictor.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S), kserve),
        "compose": (float(compose["stop_grace_period"].removesuffix("s")), compose["environment"]),
    }


@pytest.mark.parametrize("name", grants())
def test_the_longest_stop_fits_what_is_granted(name: str):
    granted_s, environment = grants()[name]
    assert stop_s(environment) < granted_s


def test_every_pod_is_closed_in():
    deployment = DOCUMENTS["deployment"]["spec"]["template"]["spec"]
    for pod in (deployment, DOCUMENTS["inference-service"]["spec"]["predictor"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume)
    for container in pods():
        assert container["image"] == f"latent-service:{VERSION}"
        assert container["resources"]["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}
        assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_rules_for_pods_select_those_of_the_deployment():
    deployment = DOCUMENTS["deployment"]["spec"]["template"]
    labels = deployment["metadata"]["labels"].items()
    for name, field in (
        ("disruption-budget", "selector"),
        ("network-policy", "podSelector"),
        ("pod-monitor", "selector"),
    ):
        assert DOCUMENTS[name]["spec"][field]["matchLabels"].items() <= labels
    (spread,) = deployment["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels
    ports = {port["name"] for port in deployment["spec"]["containers"][0]["ports"]}
    (rule,) = DOCUMENTS["network-policy"]["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == ports


def test_the_autoscaler_reads_its_metric_of_a_service_with_keys(
    tmp_path: Path, start_service: StartService, prometheus: str
):
    """As the operator and the adapter do it, with a real Prometheus and two workers."""
    (endpoint,) = DOCUMENTS["pod-monitor"]["spec"]["podMetricsEndpoints"]
    credentials = endpoint["authorization"]["credentials"]
    deployment = DOCUMENTS["deployment"]["spec"]["template"]["spec"]
    (container,) = deployment["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert environment["LATENT_METRICS_KEY_FILE"] == f"{mounted['keys']}/{credentials['key']}"
    assert {"name": "keys", "secret": {"secretName": credentials["name"]}} in deployment["volumes"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}

    write_tiny(tmp_path / "checkpoints", operations=("generate",), slow_ms=20, preferred_batch=1)
    for name in ("api-keys", "metrics-key"):
        (tmp_path / name).write_text(f"key-of-{name}\n")
    service = start_service(
        workers=2, api_keys_file=tmp_path / "api-keys", metrics_key_file=tmp_path / credentials["key"]
    )
    pod = {"namespace": "default", "pod": "latent-service-0"}
    job = {
        "job_name": "pods",
        "metrics_path": endpoint["path"],
        "authorization": {
            "type": endpoint["authorization"]["type"],
            "credentials_file": str(tmp_path / "metrics-key"),
        },
        "static_configs": [{"targets": [service.url.removeprefix("http://")], "labels": pod}],
    }
    (rule,) = yaml.safe_load(DOCUMENTS["metrics-adapter"]["data"]["config.yaml"])["rules"]
    wanted = DOCUMENTS["autoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert re.fullmatch(rule["name"]["matches"], wanted)
    query = rule["metricsQuery"]
    for name, value in {
        "Series": wanted,
        "LabelMatchers": 'pod="latent-service-0"',
        "GroupBy": "pod",
    }.items():
        query = query.replace(f"<<.{name}>>", value)
    seen = Event()

    def load() -> None:
        with service.client(headers={"X-API-Key": "key-of-api-keys"}) as client:
            while not seen.is_set():
                assert client.post("/generate", json={"count": 4}).status_code == 200

    with Scraper(prometheus, tmp_path, [job]) as scraper, ThreadPoolExecutor(6) as callers:
        wait_until(lambda: bool(scraper.ask(rule["seriesQuery"])), "the series is scraped", 30)
        asked = [callers.submit(load) for _ in range(6)]
        try:
            wait_until(lambda: float(scraper.ask(query)[0]["value"][1]) > 1, "waiting rows are seen", 30)
        finally:
            seen.set()
        for one in asked:
            one.result()
        assert scraper.ask(query)[0]["metric"] == {"pod": "latent-service-0"}
