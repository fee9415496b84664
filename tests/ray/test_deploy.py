"""The files in deploy/ say what Ray Serve, Kubernetes and this package understand. Kubernetes' own check is not at hand: its client's
models name the fields that there are."""

from pathlib import Path

import kubernetes.client
import pytest
import yaml
from dockerfile_parse import DockerfileParser
from ray.serve.schema import ServeDeploySchema
from yamllint import linter
from yamllint.config import YamlLintConfig

from vase.ray import Settings

ROOT = Path(__file__).parents[2]
SERVE, RAY_SERVICE = ROOT / "deploy/ray/serve.yaml", ROOT / "deploy/ray/rayservice.yaml"
CONTAINERS = [ROOT / "deploy/Containerfile", ROOT / "deploy/ray/Containerfile"]
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT", "STOPSIGNAL", "COMMENT"}


@pytest.mark.parametrize("path", [SERVE, RAY_SERVICE], ids=lambda path: path.name)
def test_yamllint_finds_nothing(path):
    config = YamlLintConfig("extends: default\nrules:\n  line-length: {max: 132}")
    assert [str(problem) for problem in linter.run(path.read_text(), config)] == []


def check_application(config):
    [application] = ServeDeploySchema.model_validate(config).applications
    assert application.import_path == "vase.ray:app"
    return Settings.read(application.args)


def test_serve_yaml_is_for_ray_serve_and_us():
    assert check_application(yaml.safe_load(SERVE.read_text())).replicas == 3


def unknown_fields(value, kind, where="template"):
    """Names in a Kubernetes object that its type does not have."""
    if kind.lower().startswith("list["):
        return [found for index, each in enumerate(value) for found in unknown_fields(each, kind[5:-1], f"{where}[{index}]")]
    model = getattr(kubernetes.client, kind, None)
    if model is None:  # a string, a number, or a map of the user's own
        return []
    kinds = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    return [f"{where}.{name}" for name in value if name not in kinds] + [
        found for name, each in value.items() if name in kinds for found in unknown_fields(each, kinds[name], f"{where}.{name}")]


def test_rayservice_is_for_kubernetes_and_ray():
    service = yaml.safe_load(RAY_SERVICE.read_text())
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    settings = check_application(yaml.safe_load(service["spec"]["serveConfigV2"]))
    cluster = service["spec"]["rayClusterConfig"]
    [workers] = cluster["workerGroupSpecs"]
    templates = [cluster["headGroupSpec"]["template"], workers["template"]]
    assert [unknown_fields(template, "V1PodTemplateSpec") for template in templates] == [[], []]
    # What the pods have, and what the replicas ask for.
    [container] = workers["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == settings.gpus
    assert float(container["resources"]["requests"]["cpu"]) >= settings.cpus
    assert (workers["minReplicas"], workers["maxReplicas"]) == (settings.replicas, settings.max_replicas)
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert any(settings.model.startswith(mount) for mount in mounts)
    assert any(settings.api_key_file.startswith(mount) for mount in mounts)


def test_the_check_of_pods_finds_what_is_wrong():
    template = {"spec": {"containers": [{"name": "a", "volumeMount": [], "ports": [{"port": 1}]}], "volums": []}}
    assert unknown_fields(template, "V1PodTemplateSpec") == [
        "template.spec.volums", "template.spec.containers[0].volumeMount", "template.spec.containers[0].ports[0].port"]


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_container_recipes(path):
    parser = DockerfileParser(fileobj=path.open("rb"))
    stages = set()
    for instruction in parser.structure:
        assert instruction["instruction"] in INSTRUCTIONS, instruction["content"]
        words = instruction["value"].split()
        if instruction["instruction"] == "FROM":
            stages |= {words[2]} if words[1:2] == ["AS"] else set()
        elif instruction["instruction"] == "COPY" and words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
        elif instruction["instruction"] == "COPY":
            assert all((ROOT / word).exists() for word in words[:-1])
        elif instruction["instruction"] == "RUN":
            assert all((ROOT / word).exists() for word in words if word.startswith("scripts/"))
