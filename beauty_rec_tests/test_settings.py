"""Where a setting's value comes from, and what a wrong one says."""

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.cli import load_settings
from beauty_rec.settings import (
    PACKAGED_ENCODER,
    FineTuneSettings,
    Settings,
    records_in_postgres,
)
from beauty_rec.settings.memory import RETIRED


def keep(settings: Settings) -> None:
    write_text_atomic(settings.memory_path, settings.remembered())


def test_the_profile_chooses_the_encoder_and_the_sizes(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).encoder.model == PACKAGED_ENCODER
    full = Settings(data_dir=tmp_path, profile="full")
    assert full.encoder.model == "BAAI/bge-m3"
    sample = Settings(data_dir=tmp_path)
    assert full.ranking.embedding_dim > sample.ranking.embedding_dim
    assert full.item_tower.embedding > sample.item_tower.embedding


def test_given_beats_environment_beats_memory_beats_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = {"profile": "full", "fine_tune": {"epochs": 5, "batch_size": 8}}
    (tmp_path / "settings.json").write_text(json.dumps(remembered))
    monkeypatch.setenv("BEAUTY_REC_FINE_TUNE__EPOCHS", "7")
    settings = Settings(data_dir=tmp_path, fine_tune={"seed": 99})
    assert settings.profile == "full"
    assert settings.fine_tune.seed == 99
    assert settings.fine_tune.epochs == 7
    assert settings.fine_tune.batch_size == 8
    assert settings.encoder.model == "BAAI/bge-m3"


@pytest.mark.parametrize(
    "group", ["item_tower", "user_tower", "ranking", "fine_tune", "evaluation", "sample"]
)
def test_a_negative_seed_is_refused_before_anything_is_drawn(group: str) -> None:
    with pytest.raises(ValidationError, match="seed"):
        Settings.model_validate({group: {"seed": -1}})


def test_what_was_told_is_remembered(tmp_path: Path) -> None:
    told = load_settings(
        tmp_path, ["fine_tune.epochs=3"], reviews=Path("r.jsonl"), profile="sample"
    )
    keep(told)
    again = Settings(data_dir=tmp_path)
    assert again == told
    assert again.reviews is not None
    assert again.reviews.is_absolute()


def test_presets_are_not_remembered(tmp_path: Path) -> None:
    keep(load_settings(tmp_path, ["fine_tune.batch_size=8"]))
    real = load_settings(tmp_path, reviews=Path("r.jsonl"))
    plain = load_settings(tmp_path / "other", ["fine_tune.batch_size=8"], reviews=Path("r.jsonl"))
    assert real.model_dump(exclude={"data_dir"}) == plain.model_dump(exclude={"data_dir"})
    assert real.serve.sample_users == 0
    keep(load_settings(tmp_path, profile="full"))
    assert load_settings(tmp_path, profile="sample").encoder.model == PACKAGED_ENCODER


def test_a_default_that_was_chosen_over_a_preset_is_kept(tmp_path: Path) -> None:
    told = load_settings(tmp_path, ["fine_tune.epochs=2", "pairs.max_pairs=null"])
    assert FineTuneSettings().epochs == 2
    assert told.pairs.max_pairs is None
    keep(told)
    assert Settings(data_dir=tmp_path) == told
    assert told.environment()["BEAUTY_REC_FINE_TUNE"] == '{"epochs": 2}'


def test_null_takes_a_setting_back(tmp_path: Path) -> None:
    keep(load_settings(tmp_path, ["llm.max_items=2000"]))
    keep(load_settings(tmp_path, ["llm.max_items=null"]))
    assert Settings(data_dir=tmp_path).llm.max_items is None
    with pytest.raises(ValueError, match=r"fine_tune\.epochs"):
        load_settings(tmp_path, ["fine_tune.epochs=null"])
    keep(load_settings(tmp_path, reviews=Path("r.jsonl")))
    sample = load_settings(tmp_path, ["reviews=null"])
    assert sample.serve.sample_users > 0


@pytest.mark.parametrize(
    "dsn", ["postgresql://shop:p%4055word@db/items?sslmode=require", "host=db password='p@55word'"]
)
def test_a_dsn_is_remembered_without_its_password(tmp_path: Path, dsn: str) -> None:
    settings = Settings(data_dir=tmp_path, item_index={"dsn": dsn, "m": 16})
    keep(settings)
    assert "55word" not in settings.memory_path.read_text() + repr(settings)
    again = Settings(data_dir=tmp_path).item_index
    assert again.m == 16
    assert again.dsn is not None
    assert "host=db" in again.dsn.get_secret_value()


def test_dagster_home_leads_to_its_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(Settings(data_dir=tmp_path / "shop", fine_tune={"epochs": 4}))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "shop" / "dagster"))
    settings = Settings()
    assert settings.data_dir == tmp_path / "shop"
    assert settings.fine_tune.epochs == 4


def test_a_models_folder_means_the_same_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    keep(Settings(data_dir="shop", encoder={"model": "mine"}, item_tower={"title_encoder": "mine"}))
    monkeypatch.chdir("/")
    settings = Settings(data_dir=tmp_path / "shop")
    assert settings.encoder.model == settings.item_tower.title_encoder == str(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    for name in ("all-MiniLM-L6-v2", "BAAI/bge-m3", "", "a" * 5_000):
        assert Settings(encoder={"model": name}).encoder.model == name
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(encoder={"model": "~/mine"}).encoder.model == str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("fine_tune.epochs=-1", "fine_tune.epochs.*greater than or equal to 0.*-1"),
        ("fine_tune.epoch=1", "fine_tune.epoch: Extra inputs"),
        ("epochs", "NAME=VALUE"),
        ("", "NAME=VALUE"),
        ("=5", "NAME=VALUE"),
        ("recommendation.folds=[0.8", "--set recommendation.folds: no JSON"),
        ("serve=" + "[" * 100_000, "--set serve: no JSON"),
        ("item_index.m=150", "item_index.m.*less than or equal to 100"),
        ("item_index.ef_construction=30", "ef_construction must be at least twice m"),
        ("profile=huge", "profile.*sample.*full"),
        ("gpu.visible_devices=[-1]", "visible_devices.*greater than or equal to 0"),
        ("gpu.visible_devices=[1,1]", "gpu.visible_devices.*each GPU once"),
        ("storage.url=nowhere://x", "storage.url.*fsspec knows no nowhere://"),
        ("fine_tune.learning_rate=inf", "fine_tune.learning_rate.*finite"),
        ("ranking.hidden=[-3]", "ranking.hidden.*greater than or equal to 1"),
        ("user_tower.half_lives_days=[0]", "user_tower.half_lives_days.*greater than 0"),
        ("user_tower.past_weights=[-1]", "user_tower.past_weights.*greater than or equal to 0"),
        ("item_tower.attribute_shares=[1.5]", "attribute_shares.*less than or equal to 1"),
        ("ranking.hidden=[]", "ranking.hidden.*at least 1 item"),
        ("ranking.half_lives_days=[]", "ranking.half_lives_days.*at least 1 item"),
        ("ranking.context_half_lives_days=[]", "ranking.context_half_lives_days.*at least 1 item"),
        ("recommendation.folds=[2]", "recommendation.folds.*less than 1"),
        ("recommendation.folds=[0.5,0.4]", "folds have to ascend"),
        ("user_tower.hidden=33", "heads=4 do not divide hidden=33"),
        ("item_tower.heads=5", "heads=5 do not divide embedding=64"),
        ("corpus.train_share=0.95", "nothing for test"),
        ("llm.vllm_command=vllm serve {model} --chat-template 'x", "llm.vllm_command.*not closed"),
        ('llm.vllm_command="vllm serve {model}"', "llm.vllm_command.*within quotes"),
        ("llm.vllm_command='' {model}", "llm.vllm_command.*must name a program"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, pair: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_settings(tmp_path, [pair])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BEAUTY_REC_LMM__BACKEND", "openai", "LMM__BACKEND is no setting; is it BEAUTY_REC_LLM?"),
        ("BEAUTY_REC_SERV__PORT", "1", "is it BEAUTY_REC_SERVE?"),
        ("BEAUTY_REC_DATADIR", "x", "is it BEAUTY_REC_DATA_DIR?"),
        (
            "BEAUTY_REC_SERVE",
            '{"api_key": "hunter2"',
            "the variable BEAUTY_REC_SERVE holds no JSON",
        ),
        (
            "BEAUTY_REC_LLM__BASE_URLS",
            '["http://u:hunter2@h/v1"',
            "the variable BEAUTY_REC_LLM__BASE_URLS holds no JSON",
        ),
        ("BEAUTY_REC_LLM", "openai", "the variable BEAUTY_REC_LLM holds no JSON"),
        ("BEAUTY_REC_SERVE", "[" * 50_000, "the variable BEAUTY_REC_SERVE holds no JSON"),
        ("BEAUTY_REC_LLM_BACKEND", "openai", "it is BEAUTY_REC_LLM__BACKEND, with two"),
        ("BEAUTY_REC_SERVE_API_KEY", "hunter2", "it is BEAUTY_REC_SERVE__API_KEY, with two"),
        ("BEAUTY_REC_SERVE__ALLOWED_HOSTS", "shop.example", "serve.allowed_hosts"),
        ("DAGSTER_POSTGRES_URL", "postgres//u:hunter2@h", "DAGSTER_POSTGRES_URL is no address"),
    ],
)
def test_a_wrong_variable_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        records_in_postgres() if name.startswith("DAGSTER") else load_settings(None)
    assert "hunter2" not in str(refused.value)


def test_a_variable_takes_a_list_as_set_does(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ("http://a:1/v1", "http://b:1/v1")
    for given in (", ".join(both), json.dumps(both)):
        monkeypatch.setenv("BEAUTY_REC_LLM__BASE_URLS", given)
        assert load_settings(None).llm.base_urls == both
    monkeypatch.setenv("BEAUTY_REC_LLM__BASE_URLS", both[0])
    assert load_settings(None).llm.base_urls == both[:1]


@pytest.mark.parametrize("kept", ["{", "", "[" * 100_000, "{}".encode("utf-16")])
def test_a_broken_memory_names_its_file(tmp_path: Path, kept: str | bytes) -> None:
    (tmp_path / "settings.json").write_bytes(kept.encode() if isinstance(kept, str) else kept)
    with pytest.raises(ValueError, match=r"settings\.json is not JSON"):
        Settings(data_dir=tmp_path)


def test_settings_that_are_gone_are_passed_over_in_the_memory(tmp_path: Path) -> None:
    kept = {group: dict.fromkeys(names, 16) for group, names in RETIRED.items()}
    assert {"checkpoint_steps", "mini_batch_size"} <= kept["fine_tune"].keys()
    kept["fine_tune"] |= {"epochs": 7}
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    assert load_settings(tmp_path).fine_tune.epochs == 7


@pytest.mark.parametrize("name", ["serve", "ranking", "profile", "reviews"])
@pytest.mark.parametrize("value", [[], "x", 5, ["x"]])
def test_a_wrong_type_in_the_memory_is_named(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({name: value}))
    if (name, value) == ("reviews", "x"):
        return  # a path
    with pytest.raises(ValueError, match=f"settings: {name}: Input"):
        load_settings(tmp_path)
