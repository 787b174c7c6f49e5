"""Presets: what the synthetic sample and a profile set, below all that is chosen."""

from typing import Any

# The synthetic sample shows that everything works, in minutes on two cores.
SYNTHETIC: dict[str, Any] = {
    "pairs": {"max_pairs": 1_500},
    "fine_tune": {"epochs": 1},
    "recommendation": {"folds": (0.7, 0.8, 0.9)},
    "serve": {"sample_users": 12},  # they are nobody
    "item_tower": {"epochs": 4, "min_steps": 200},
    "ranking": {"trial_seeds": 3, "trial_epochs": 3},
    "evaluation": {"train_queries": 500, "keyword_queries": 250},
    "user_tower": {"batch_size": 64},  # 4,800 events are few steps in batches of 256
}
PROFILES: dict[str, dict[str, Any]] = {
    "sample": {},
    "full": {
        "encoder": {"model": "BAAI/bge-m3", "max_query_tokens": 256, "max_item_tokens": 384},
        "item_text": {"max_tokens": 384},
        "item_tower": {
            "title_encoder": "distilbert/distilbert-base-uncased",
            "batch_size": 512,
            "train_title_encoder": True,
            # Its title states are 768 wide, and a large shop has values by the ten thousand.
            "dimension": 128,
            "embedding": 128,
        },
        # Wider than 4 and (64, 32) is better on two shops of thousands of reviews and level on a
        # third of 97,000; a wider user tower is not (docs/results.md), so that stays as it is.
        "ranking": {"embedding_dim": 16, "hidden": (256, 128)},
        "pairs": {"query_type": "both"},
        # The temperature is that of BGE-M3's own recipes.
        "fine_tune": {
            "batch_size": 256,
            "learning_rate": 2e-5,
            "frozen_layers": 0,
            "temperature": 0.02,
        },
    },
}


def presets_of(profile: str, *, synthetic: bool) -> dict[str, dict[str, Any]]:
    """Return the presets of a profile, and above them those of the synthetic sample, by group."""
    found = {group: dict(values) for group, values in PROFILES.get(profile, {}).items()}
    for group, values in SYNTHETIC.items() if synthetic else ():
        found[group] = found.get(group, {}) | values
    return found
