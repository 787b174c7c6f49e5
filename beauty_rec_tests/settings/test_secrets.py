"""Secrets are planted in every place that takes one; no error, log, file or record shows them."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from beauty_rec.cli import commands, main
from beauty_rec.cli.terminal import say, show
from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.stage.stage import stage
from beauty_rec.orchestration.storage.dagster_home import open_instance
from beauty_rec.serving.http.telemetry import JsonLines
from beauty_rec.settings import LanguageSettings, Settings, child_environment, redacted, secrets
from beauty_rec.settings.secrets import refuse_secret

SECRET = "hunter2/planted"  # 15 characters: too few for serve.api_key
DSN = f"postgresql://shop:{SECRET.replace('/', '%2F')}@db/items?sslpassword=xx{SECRET}"


@pytest.fixture(autouse=True)
def signals_stay_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "end_on_signals", lambda: None)


def hidden(text: str) -> bool:
    return not any(form in text for form in (SECRET, SECRET.replace("/", "%2F")))


@pytest.mark.parametrize(
    "pair",
    [
        f"item_index.dsn=host=db password={SECRET} user",
        f"item_index.dsn=postgresql//shop:{SECRET}@db/items",
        f"item_index.dsm={DSN}",
        f"item_index={DSN}",
        f'item_index={{"dsn": "{DSN}", "m": 1}}',
        f"item_index.dsn {DSN}",
        f"serve.api_key={SECRET}",  # too short
        f"serve.api_key={SECRET} é {SECRET}",
        f"llm.api_key={SECRET}\n{SECRET}",
        f"shops.keys={{'shop': '{SECRET}ключ'}}".replace("'", '"'),
        f"alerts.webhook_url=https://hooks/{SECRET}\u200b/x",
        f"serve.api_kee={SECRET}",
        f"llm.base_urls=http://u:{SECRET}@h/v1",
        f"llm.base_urls=http://u:my {SECRET} word@h/v1",
        f"storage.url=s3://key:my {SECRET} word@bucket/shop",
        f"llm.base_urls=ftp://h/v1?api_key={SECRET}",
        f"llm.vllm_command=vllm serve {{model}} --api-key {SECRET}",
        f"storage.url=s3://key:{SECRET}@bucket/shop",
        f"storage.url=az://bucket/shop?sig={SECRET}",
        f"text_index.url=http://u:{SECRET}@chroma:8000",
        f"alerts.webhook_url=ftp://hooks/{SECRET}",
        f"alerts.webhook_urls=https://hooks/{SECRET}",
        f"mlflow.tracking_uri=http://u:{SECRET}@mlflow:5000",
        f"traces.endpoint=http://u:{SECRET}@collector:4317",
        f"execution.ray_address=http://u:{SECRET}@head:8265",
    ],
)
def test_a_wrong_setting_is_said_without_its_secret(
    pair: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["beauty-rec", "search", "x", "--data-dir", str(tmp_path), "--set", pair]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("beauty-rec: ")
    assert said.count("\n") == 1
    assert hidden(said), said


def test_a_setting_of_the_environment_is_said_without_its_secret(tmp_path: Path) -> None:
    for name, value in {
        "BEAUTY_REC_STORAGE__URL": f"s3://key:{SECRET}@bucket/shop",
        "BEAUTY_REC_ITEM_INDEX": f'{{"dsn": "{DSN}", "m": 1}}',
        "BEAUTY_REC_SERVE__API_KEY": SECRET,
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", "from beauty_rec.settings import Settings; Settings()"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
            env=child_environment(**{name: value}),
        )  # fmt: skip
        assert done.returncode == 1
        assert "ValidationError" in done.stderr
        assert hidden(done.stderr), done.stderr


def test_a_key_is_taken_without_the_line_break_that_files_end_in() -> None:
    key = "plain word of a key"
    settings = Settings(llm={"api_key": f"{key}\n"}, serve={"api_key": SecretStr(f" {key}\r\n")})
    assert settings.llm.api_key == settings.serve.api_key == SecretStr(key)
    assert LanguageSettings(api_key=" ").api_key is None


def test_a_secret_is_hidden_as_an_error_quotes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hünter2\tplanted\n"
    monkeypatch.setenv("SHOP_TOKEN", secret)
    for said in (secret.strip(), f"{secret!r}", f"{secret.encode()!r}"):
        shown = redacted(f"Illegal header value {said}")
        assert "nter2" not in shown
        assert "planted" not in shown


def test_what_is_kept_holds_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        item_index={"dsn": DSN},
        llm={"api_key": SECRET},
        serve={"api_key": SECRET * 2},
    )
    assert hidden(settings.remembered())
    assert hidden(json.dumps(settings.environment()))
    assert hidden(repr(settings))
    assert "host=db" in settings.remembered()


def test_secrets_of_other_programs_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of theirs may say them in any form."""
    for name, value in {
        "HF_TOKEN": SECRET,
        "MLFLOW_TRACKING_PASSWORD": SECRET,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={SECRET}",
        "DAGSTER_POSTGRES_URL": f"postgresql//dagster:{SECRET}@db/runs",
        "HTTPS_PROXY": f"http//u:{SECRET}@proxy",
    }.items():
        monkeypatch.setenv(name, value)
        assert hidden(redacted(f"cannot use {value!r}"))
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://db/runs")
    assert redacted("no database at postgresql://db/runs") == "no database at postgresql://db/runs"


def test_a_log_line_holds_no_secret() -> None:
    Settings(llm={"api_key": SecretStr("plain word of a key")})
    try:
        raise ConnectionError(f"{DSN} refused 'plain word of a key'")
    except ConnectionError:
        record = logging.getLogger("t").makeRecord(
            "t", logging.ERROR, "f", 1, "no route to %s", (DSN,), sys.exc_info()
        )
    record.error, record.more = f"Bearer {SECRET}", {"dsn": DSN}
    line = JsonLines().format(record)
    assert json.loads(line)["event"] == "no route to " + redacted(DSN)
    assert hidden(line)
    assert "plain word" not in line


def test_lines_look_through_the_environment_again_only_where_it_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "of no setting"  # settings of other tests are known to the process

    def is_hidden() -> bool:
        said = {"name": "t", "msg": f"failed: {secret}", "more": ["a", {"b": secret}]}
        return secret not in JsonLines().format(logging.makeLogRecord(said))

    assert not is_hidden()
    monkeypatch.setenv("HF_TOKEN", secret)
    assert is_hidden()
    looks = secrets._of_environment.cache_info().misses
    assert all(is_hidden() for _ in range(5))
    assert secrets._of_environment.cache_info().misses == looks
    monkeypatch.setenv("HF_TOKEN", "another one")
    assert not is_hidden()


@pytest.mark.parametrize(
    "text",
    [
        "Basic Cleanser, 200 ml",
        "the basic settings of a shop",
        "a bearer of good news",
        "SK-II oil",
    ],
)
def test_words_of_titles_and_sentences_are_no_secrets(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "path",
    ["/data/hf-models", "s3://sk-beauty-prod/shop", "hf_cache/bge-m3", "gs://sk-shop-2024-eu"],
)
def test_a_path_that_begins_as_a_key_does_is_none(path: str) -> None:
    assert redacted(path) == refuse_secret(path) == path


@pytest.mark.parametrize(
    "key",
    [
        "sk-" + "a1B2" * 12,
        "sk-proj-x_" + "Zz9-Qq8_" + "aB3d" * 9,
        "sk-ant-api03-" + "aB3d" * 9,
        "sk_live_" + "aB3d" * 6,
        "hf_" + "aB3d" * 8,
        "ghp_" + "aB3d" * 9,
        "github_pat_" + "aB3d" * 5 + "_" + "aB3d" * 9,
        "xoxb-123456789012-1234567890123-" + "aB3d" * 6,
    ],
)
def test_a_key_of_a_known_form_is_hidden(key: str) -> None:
    assert redacted(f"refused: {key}.") == "refused: ***."


@pytest.mark.parametrize(
    "text",
    [f"Authorization: Basic {SECRET}", f"authorization='basic {SECRET}'", f"bearer {SECRET}"],
)
def test_a_header_is_one(text: str) -> None:
    assert SECRET not in redacted(text)


def test_what_a_shop_sells_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    sold = "password=rose, a soap with a token: lavender"
    show(sold)
    assert capsys.readouterr().out == f"{sold}\n"
    say(f"no route to {DSN}")
    assert SECRET not in capsys.readouterr().out


def test_dagsters_records_hold_no_secret(tmp_path: Path) -> None:
    @stage(group="test", io="io_manager")
    def leaky(context: dg.AssetExecutionContext) -> None:
        try:
            raise ConnectionError(f"cannot reach {DSN}")
        except ConnectionError as error:
            raise RuntimeError("the database is away") from error

    with open_instance(tmp_path) as instance:
        done = dg.materialize([leaky], instance=instance, raise_on_error=False)
    assert not done.success
    kept = [path.read_bytes() for path in (tmp_path / "dagster").rglob("*") if path.is_file()]
    assert any(b"the database is away" in content for content in kept)
    assert not any(SECRET.encode() in content or b"hunter2%2F" in content for content in kept)


TYPED: dict[str, dict[str, Any]] = {
    "item_index": {"resources": {"pgvector": {"config": {"dsn": DSN}}}},
    "text_index": {"resources": {"chroma": {"config": {"url": f"http://u:{SECRET}@h:1"}}}},
    "raw_reviews": {"resources": {"store": {"config": {"url": f"s3://k:{SECRET}@b"}}}},
    "keywords": {
        "resources": {"language_model": {"config": {"base_urls": [f"http://u:{SECRET}@h/v1"]}}}
    },
    "text_index of a stage": {
        "ops": {"text_index": {"config": {"text_index": {"url": f"http://u:{SECRET}@h:1"}}}}
    },
    "keywords with a command": {
        "ops": {"keywords": {"config": {"llm": {"vllm_command": f"vllm --api-key {SECRET}"}}}}
    },
    "keywords with a key": {"ops": {"keywords": {"config": {"llm": {"api_key": SECRET}}}}},
    "item_index of a stage": {"ops": {"item_index": {"config": {"item_index": {"dsn": DSN}}}}},
}
"""By asset (the first word): a config of its launchpad in which somebody put a secret."""


def test_no_field_of_the_launchpad_takes_a_secret(tmp_path: Path) -> None:
    """What no field takes, Dagster refuses before there is a run that would keep it."""
    job = build_definitions(Settings(data_dir=tmp_path)).resolve_implicit_global_asset_job_def()
    with open_instance(tmp_path) as instance:
        for typed in TYPED.values():
            with pytest.raises(dg.DagsterInvalidConfigError):
                job.execute_in_process(typed, instance, partition_key="train")
        assert not instance.get_runs()
    kept = [path.read_bytes() for path in (tmp_path / "dagster").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in kept)


def test_users_are_shown_of_the_synthetic_sample_alone(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).serve.sample_users == 12
    assert Settings(data_dir=tmp_path, reviews=tmp_path / "r.jsonl").serve.sample_users == 0


def test_an_empty_variable_is_one_that_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As compose hands on API_KEY."""
    monkeypatch.setenv("BEAUTY_REC_SERVE__API_KEY", "")
    monkeypatch.setattr(
        sys, "argv", ["beauty-rec", "serve", "--host", "0.0.0.0", "--data-dir", str(tmp_path)]
    )
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert said.startswith("beauty-rec: serve.host = 0.0.0.0 is reached by others: set serve.api_k")
    assert said.count("\n") == 1
