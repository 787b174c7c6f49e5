"""Figures of a training are named for what they are."""

import pytest

from beauty_rec.evaluation.plots import training
from beauty_rec.orchestration.catalogue.trainings import user_tower_metadata
from beauty_rec.settings import UserTowerSettings


def test_a_recall_is_named_by_its_cut_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[str]] = []

    def noted(epochs: object, figures: list[str], **kwargs: object) -> bytes:
        drawn.append(figures)
        return b""

    monkeypatch.setattr(training, "epoch_curves", noted)
    log = {
        "epochs": [{"epoch": 1, "loss": 2.0, "valid_recall@7": 0.2, "seconds": 1.0}],
        "valid_recall": 0.25,
        "best_epoch": 1,
        "parameters": 10,
        "train_events": 20,
        "columns": {"tower": 3, "statistics": 4, "text": 0},
        **dict.fromkeys(("text_weight", "past_weight", "past_text_weight", "newcomer_weight"), 1),
    }
    found = user_tower_metadata(log, UserTowerSettings(candidates=7))
    assert found["valid recall@7"] == 0.25
    assert found["valid_recall@7"] == 0.2
    assert not any("@100" in name for name in found)
    assert drawn == [["loss", "valid_recall@7"]]
    unjudged = user_tower_metadata({**log, "valid_recall": None}, UserTowerSettings(candidates=7))
    assert "valid recall@7" not in unjudged
