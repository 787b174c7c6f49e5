"""Staleness follows the imports: a change that an asset's code reaches changes its version."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from beauty_rec.orchestration.code_location import STAGES
from beauty_rec.orchestration.stage import imports, sources
from beauty_rec.orchestration.stage.versions import with_code_versions
from beauty_rec.settings import Settings
from beauty_rec_tests.orchestration.stage.import_forms import ASSET, FORMS, NOT_RUN

PACKAGE = Path(imports.__file__).parents[2]
HOLES = ("beauty_rec.events.queries", "beauty_rec.search.ranks", "beauty_rec.training.checkpoints")
ASKED = {"retrieval_candidates", "user_candidates", "reranker", "recommendations"}
"""Assets of events that are asked with a text, which must not be too short."""
EVENTS = ASKED - {"retrieval_candidates"}
MODELS = {"text_retriever", "item_tower", "user_tower", "reranker"}
READERS = {
    "corpus/categories.toml": "beauty_rec.corpus.category",
    "keywords/lexicon.toml": "beauty_rec.keywords.lexicon",
    "keywords/prompts/keywords.toml": "beauty_rec.keywords.llm",
    "items/domains/beauty.toml": "beauty_rec.items.domain",
    "items/prompts/attributes.toml": "beauty_rec.items.llm",
    "sample/products.toml": "beauty_rec.sample.tables",
}
VERSIONS = """
import json
from beauty_rec.definitions import defs
graph = defs.resolve_asset_graph()
print(json.dumps({k.to_user_string(): graph.get(k).code_version for k in
                  graph.materializable_asset_keys}))
"""


def in_copy(copy: Path, *arguments: str) -> Any:
    """Run Python where ``beauty_rec`` is the copy; return the JSON that it prints."""
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=copy.parent
    )
    return json.loads(answer.stdout)


def differences(counted: dict[str, list[str]], reached: dict[str, list[str]]) -> dict[str, str]:
    """Return, by module, where the derivation and the second walk disagree."""
    return {
        module: f"missed {sorted(set(reached[module]) - set(found))}, "
        f"too many {sorted(set(found) - set(reached[module]))}"
        for module, found in counted.items()
        if set(found) != set(reached[module])
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy") / "beauty_rec"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def walked(copy: Path) -> dict[str, Any]:
    return in_copy(copy, str(Path(__file__).with_name("walk.py")), str(copy), *HOLES)


@pytest.mark.slow
def test_every_library_module_counts_for_exactly_what_runs_it(
    walked: dict[str, Any],
) -> None:
    assert len(walked["counted"]) > 150
    assert sum(map(len, walked["reached"].values())) > 300
    assert differences(walked["counted"], walked["reached"]) == {}
    assert walked["unnoticed"] == []


@pytest.mark.slow
@pytest.mark.parametrize("hole", HOLES)
def test_the_comparison_notices_a_module_that_is_left_out(
    walked: dict[str, Any], hole: str
) -> None:
    broken = {**walked["counted"], hole: walked["with_hole"][hole]}
    assert set(differences(broken, walked["reached"])) == {hole}


@pytest.mark.slow
def test_a_plot_retrains_no_model(walked: dict[str, Any]) -> None:
    plots = {name for name in walked["counted"] if name.startswith("beauty_rec.evaluation.plots.")}
    assert plots
    assert not {asset for name in plots for asset in walked["counted"][name]} & MODELS


def test_a_data_file_counts_for_what_reads_it(walked: dict[str, Any]) -> None:
    for name, reader in READERS.items():
        assert walked["reached"][reader]
        assert set(walked["reached"][reader]) <= set(walked["data"][name]), name
    for name, assets in walked["data"].items():
        assert assets or name.startswith("serving/http/page/"), f"nothing depends on {name}"


def test_a_new_process_sees_the_change(copy: Path, walked: dict[str, Any]) -> None:
    """The versions of the code location itself, before and after an edit of one module."""
    before = in_copy(copy, "-c", VERSIONS)
    path = copy / "events" / "asked.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("settings.max_queries", "settings.max_queries or None"))
    after = in_copy(copy, "-c", VERSIONS)
    path.write_text(text, encoding="utf-8")
    changed = {name for name, version in before.items() if after[name] != version}
    assert changed == set(walked["reached"]["beauty_rec.events.asked"])
    assert None not in before.values()


def versions(settings: Settings) -> dict[str, str | None]:
    found = with_code_versions(STAGES, settings)
    return {a.key.to_user_string(): a.code_versions_by_key[a.key] for a in found}


@pytest.mark.parametrize(
    ("changes", "stale", "fresh"),
    [
        ({"fine_tune": {"epochs": 9}}, {"text_retriever"}, {"item_tower", "keywords"}),
        ({"evaluation": {"seed": 99}}, {"retrieval_metrics", "reranker"}, {"item_tower"}),
        ({"encoder": {"batch_tokens": 700}}, {"item_embeddings"}, {"item_tower", "raw_items"}),
        ({"encoder": {"device": "cpu"}}, set(), {"item_embeddings", "text_retriever"}),
        ({"serve": {"sample_users": 3}}, {"serving_manifest"}, {"recommendations"}),
        ({"ranking": {"history_length": 9}}, {*EVENTS, "ranking_metrics"}, {"user_tower"}),
        ({"evaluation": {"min_query_chars": 3}}, ASKED, {"user_tower", "training_pairs"}),
        ({"serve": {"out_of_stock": "show"}}, {"user_lists"}, {"serving_manifest"}),
        ({"serve": {"view_weight": 0.1}}, {"user_lists"}, {"serving_manifest"}),
        ({"serve": {"click_weight": 0.1}}, {"user_lists"}, {"serving_manifest"}),
        ({"serve": {"cart_weight": 0.1}}, {"user_lists"}, {"serving_manifest"}),
        ({"serve": {"purchase_weight": 0.1}}, {"user_lists"}, {"serving_manifest"}),
        ({"serve": {"seen_events": ("view",)}}, {"user_lists"}, {"serving_manifest"}),
    ],
)
def test_settings_count_by_their_values(
    tmp_path: Path, changes: dict[str, Any], stale: set[str], fresh: set[str]
) -> None:
    before = versions(Settings(data_dir=tmp_path))
    after = versions(Settings(data_dir=tmp_path, **changes))
    changed = {name for name in before if before[name] != after[name]}
    assert stale <= changed
    assert not fresh & changed


def test_a_domain_of_ones_own_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "coffee.toml"
    settings = Settings(data_dir=tmp_path, attributes={"domain": str(file)})
    found = []
    for text in ("name = 'coffee'", "name = 'coffee'", "name = 'tea'"):
        file.write_text(text)
        found.append(versions(settings))
    before, touched, after = found
    assert touched == before
    changed = {name for name in before if before[name] != after[name]}
    assert {"item_attributes", "past_items", "item_vectors"} <= changed
    assert not {"keywords", "base_embeddings"} & changed


def test_a_model_of_ones_own_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    titled = {"title_encoder": "titles"}
    found = []
    for weights in ({"mine": "1", "titles": "1"}, {"mine": "22"}, {"titles": "333"}):
        for name, text in weights.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "model.safetensors").write_text(text)
        settings = Settings(data_dir="data", encoder={"model": "mine"}, item_tower=titled)
        found.append(versions(settings))
    encoders, titles = (
        {name for name in before if before[name] != after[name]}
        for before, after in pairwise(found)
    )
    assert {"base_embeddings", "text_retriever"} <= encoders
    assert "item_tower" in titles
    assert not {"keywords", "item_tower"} & encoders
    assert not {"keywords", "base_embeddings"} & titles
    (tmp_path / "mine").rename(tmp_path / "moved")
    settings = Settings(data_dir="data", encoder={"model": "moved"}, item_tower=titled)
    assert versions(settings) == found[-1]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package that the derivation reads instead of the real one."""
    folder = tmp_path / "beauty_rec"
    files = ["__init__.py", "lib/__init__.py", "orchestration/__init__.py"]
    for name in [*files, "orchestration/assets/__init__.py", "orchestration/storage/__init__.py"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "lib/target.py").write_text("def f(): ...\n")
    for module in (imports, sources):
        monkeypatch.setattr(module, "PACKAGE", folder)
    forget()
    yield folder
    forget()


def forget() -> None:
    for module in (imports, sources):
        for function in vars(module).values():
            getattr(function, "cache_clear", SimpleNamespace)()


@pytest.mark.parametrize("form", FORMS)
def test_however_a_module_is_reached_it_counts(package: Path, form: str) -> None:
    for name, text in FORMS[form].items():
        (package / name).write_text(text + "\n")
    code = imports.code_of("beauty_rec.orchestration.assets.shop", "asset")
    assert package / "lib/target.py" in code.files


@pytest.mark.parametrize("text", NOT_RUN)
def test_what_an_asset_does_not_run_does_not_count(package: Path, text: str) -> None:
    (package / ASSET).write_text(text + "\n")
    code = imports.code_of("beauty_rec.orchestration.assets.shop", "asset")
    assert package / "lib/target.py" not in code.files


def test_a_helper_of_orchestration_counts_where_it_is_used(package: Path) -> None:
    text = "def used(): return {}\ndef unused(): return {}\ndef asset(): return used()\n"
    digests = []
    for used, unused in ((1, 1), (2, 1), (1, 2)):
        made = text.replace("{}", str(used), 1).replace("{}", str(unused), 1)
        (package / ASSET).write_text(made)
        forget()
        digests.append(imports.code_of("beauty_rec.orchestration.assets.shop", "asset").digest())
    assert digests[0] == digests[2] != digests[1]
