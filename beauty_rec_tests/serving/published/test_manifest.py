"""A set stays what it was; the manifest names it whole, or it is refused."""

import json
import threading
import time
from pathlib import Path

import pytest

from beauty_rec.recommender.online.requests import RecommendRequest
from beauty_rec.recommender.online.sets.manifest import ManifestError
from beauty_rec.retriever.encoder import TextEncoder
from beauty_rec.serving.published.manifest import publish, read_manifest, set_folder
from beauty_rec.serving.published.release import read_release
from beauty_rec.serving.state.engine import Engine, load_set
from beauty_rec.settings import Settings
from beauty_rec_tests.recommender.synthetic_set import Size, publish_synthetic


def parts(folder: Path, text: str) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model"
    (model / "deep").mkdir(parents=True, exist_ok=True)
    draft = folder / "draft"  # artifacts are replaced, never written into
    draft.write_text(text)
    draft.replace(model / "deep" / "weights")
    (folder / "cards").write_text("cards")
    return {"model": model, "cards": folder / "cards"}


def publish_text(tmp_path: Path, text: str, keep: int = 2) -> str:
    told = parts(tmp_path / "artifacts", text)
    return publish(tmp_path / "serving", told, {}, {"domain": "beauty"}, {"m": 0.5}, keep).set


def test_a_later_run_leaves_the_set_as_it_is(tmp_path: Path) -> None:
    first = publish_text(tmp_path, "one")
    manifest = read_manifest(tmp_path / "serving")
    parts(tmp_path / "artifacts", "two")  # a run that replaced an artifact and then failed
    folder = set_folder(tmp_path / "serving", manifest)
    assert (folder / "model" / "deep" / "weights").read_text() == "one"
    assert manifest.set == first


def test_the_name_stands_for_the_content(tmp_path: Path) -> None:
    first, second = publish_text(tmp_path, "one"), publish_text(tmp_path, "two")
    assert first != second
    assert publish_text(tmp_path, "one") == first
    assert read_manifest(tmp_path / "serving").set == first


def test_old_sets_go_the_last_two_stay(tmp_path: Path) -> None:
    sets = [publish_text(tmp_path, str(number)) for number in range(4)]
    left = {path.name for path in (tmp_path / "serving" / "versions").iterdir()}
    assert left == set(sets[-2:])


def test_parts_share_their_bytes_with_the_artifacts(tmp_path: Path) -> None:
    name = publish_text(tmp_path, "one")
    linked = tmp_path / "serving" / "versions" / name / "cards"
    assert linked.samefile(tmp_path / "artifacts" / "cards")


@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_set_that_is_not_what_it_was_is_refused(tmp_path: Path, harm: str) -> None:
    name = publish_text(tmp_path, "one")
    weights = tmp_path / "serving" / "versions" / name / "model" / "deep" / "weights"
    weights.unlink()
    if harm == "changed":
        weights.write_text("other")
    with pytest.raises(ManifestError, match="model"):
        set_folder(tmp_path / "serving", read_manifest(tmp_path / "serving"))


def test_no_manifest_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="beauty-rec run"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(tmp_path)
    for name, read in (("manifest.json", read_manifest), ("release.json", read_release)):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).mkdir()
        with pytest.raises(ManifestError, match=f"{name} cannot be read"):
            read(tmp_path)


def test_parts_that_do_not_fit_together_are_refused(settings: Settings) -> None:
    root = settings.data_dir / "serving"
    manifest = read_manifest(root)
    wrong = {**manifest.indexes, "item_index": {**manifest.indexes["item_index"], "dimension": 7}}
    with pytest.raises(ManifestError, match="the pgvector index has 7"):
        load_set(root, manifest.model_copy(update={"indexes": wrong}), settings.encoder)


@pytest.mark.slow
def test_questions_during_switches_are_answered_from_one_set(
    encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("switching")
    seeds = {publish_synthetic(data, Size(seed=1), encoder, encode=False).set: 1}
    engine = Engine(Settings(data_dir=data))
    answers: list[dict] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.extend(engine.recommend([RecommendRequest(context="rose soap")] * 2))

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for seed in (2, 3, 4):
            seeds[publish_synthetic(data, Size(seed=seed), encoder, encode=False).set] = seed
            assert engine.look() is True
    finally:
        time.sleep(0.1)
        done.set()
        asker.join()
    assert {answer["version"] for answer in answers} == set(seeds)
    for answer in answers:  # a title tells the set that it comes from
        assert len(answer["items"]) == 10
        assert {item["title"].rsplit(" ", 1)[1] for item in answer["items"]} == {
            str(seeds[answer["version"]])
        }


def test_the_engine_keeps_its_set_when_the_next_is_broken(engine: Engine) -> None:
    path = engine.root / "manifest.json"
    before, served = path.read_text(), engine.shop.manifest.set
    try:
        path.write_text(json.dumps({**json.loads(before), "set": "0" * 16}))
        assert engine.look() is False
        assert "is missing" in (engine.refused or "")
        assert engine.shop.manifest.set == served
    finally:
        path.write_text(before)
    assert engine.look() is False
    assert engine.refused is None


def test_when_it_was_measured_is_told_and_makes_no_other_set(tmp_path: Path) -> None:
    root, told = tmp_path / "serving", parts(tmp_path / "artifacts", "one")
    first = publish(root, told, {}, {}, {"m": 0.5}, measured={"valid": "2026-01-01"})
    again = publish(root, told, {}, {}, {"m": 0.5}, measured={"valid": "2026-01-08"})
    assert again.set == first.set
    assert read_manifest(root).measured == {"valid": "2026-01-08"}
    document = json.loads((root / "manifest.json").read_text())
    del document["measured"]  # of a program that knew nothing of it
    (root / "manifest.json").write_text(json.dumps(document))
    assert read_manifest(root).measured == {}
