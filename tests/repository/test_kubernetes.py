"""The manifests of deploy/kubernetes, held against the schemas of Kubernetes and against the service itself.

That of KServe's own resource is read by KServe's library in tests/clients.
"""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.settings import Settings
from service.workers.worker import longest_stop_s
from support import public_surface
from support.service_process import ROOT, StartService
from support.tiny_checkpoints import write_tiny

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.29", "1.33", "1.37")
"""Of Kubernetes, old and new."""

DOCUMENTS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yaml")
}
OURS = ("deployment", "service", "autoscaler")
DEFAULT_GRACE_S = 30
"""What Kubernetes grants a pod to stop."""


def pods() -> list[dict[str, Any]]:
    """The containers of the deployment and of KServe's resource."""
    deployment = DOCUMENTS["deployment"]["spec"]["template"]["spec"]
    return [*deployment["containers"], *DOCUMENTS["inference-service"]["spec"]["predictor"]["containers"]]


def test_all_manifests_are_known():
    assert set(DOCUMENTS) == {*OURS, "inference-service"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OURS)
def test_a_manifest_obeys_its_schema(name: str, version: str):
    kubernetes_validate.validate(DOCUMENTS[name], version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pod_that_kserve_makes_obeys_its_schema(version: str):
    predictor = DOCUMENTS["inference-service"]["spec"]["predictor"]
    spec = {name: predictor[name] for name in ("containers", "volumes")}
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
    deployment, service, scaler = (DOCUMENTS[name] for name in OURS)
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
