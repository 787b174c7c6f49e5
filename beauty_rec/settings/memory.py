"""What a data folder remembers of what its runs were given."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beauty_rec.settings.environment import default_data_dir
from beauty_rec.settings.group import located

UNKEPT = (
    ("serve", "api_key"),
    ("llm", "api_key"),
    # A mail server without its password would not be a whole setting.
    ("alerts", "webhook_url"),
    ("alerts", "smtp_user"),
    ("alerts", "smtp_password"),
)
"""Of what was chosen: secrets, and what is of no use without them."""

RETIRED = {
    "serve": {"rerank", "rrf_k"},
    "ranking": {"train_candidates"},
    "fine_tune": {"checkpoint_steps", "mini_batch_size"},
    "encoder": {"batch_size"},
    "checks": {"built_warn_days", "built_fail_days"},
}
"""Settings of earlier versions that a data folder may hold, by group."""


def memory_of(given: Mapping[str, Any]) -> Path:
    """Return where the settings of what is given are remembered: in its data folder, or ours."""
    return located(Path(given.get("data_dir") or default_data_dir())) / "settings.json"


def read_remembered(data_dir: Path) -> dict[str, Any]:
    """Return what the last run on ``data_dir`` was given; empty if there was none.

    Raises:
        ValueError: the file is there but is not a JSON object; the message names it.
    """
    path = data_dir / "settings.json"
    if not path.exists():
        return {}
    if not path.is_file():
        raise ValueError(f"{path} is no file; move it away")
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); mend or delete it") from error
    if not isinstance(given, dict):
        raise ValueError(f"{path} holds {type(given).__name__}, not an object; mend or delete it")
    for group, names in RETIRED.items():
        if isinstance(kept := given.get(group), dict):
            given[group] = {name: value for name, value in kept.items() if name not in names}
    return given


def memory_stamp(data_dir: Path) -> str:
    """Return what stands for all that a data folder remembers: where that differs, another text."""
    try:
        text = json.dumps(read_remembered(data_dir), sort_keys=True)
    except (OSError, ValueError):
        return "unreadable"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
