"""The store of answers: one SQLite file in WAL mode, written answer by answer.

An answer that was written survives a kill of the process at any moment; two processes may use the
file at once.
"""

import logging
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY,
    prompt TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('answered', 'failed')),
    answer TEXT NOT NULL,
    reason TEXT NOT NULL,
    tries INTEGER NOT NULL,
    run TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID
"""
LOG = logging.getLogger("beauty_rec.language")
BUSY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a question: the answer's JSON, or why there is none."""

    status: Literal["answered", "failed"]
    answer: str
    reason: str
    tries: int
    run: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Where an answer comes from and what it cost."""

    prompt: str
    model: str
    run: str
    prompt_tokens: int
    completion_tokens: int


class AnswerStore:
    """Answers by key (see :meth:`beauty_rec.language.task.Question.key`)."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; one that is damaged is moved aside with a warning."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._connection = self._open()
        except sqlite3.OperationalError:  # locked, or not to be written: no damage
            raise
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.stem}.damaged{path.suffix}")
            for suffix in ("", "-wal", "-shm"):
                if path.with_name(path.name + suffix).exists():
                    path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
            LOG.warning("%s is damaged (%s): moved to %s, all is asked anew", path, error, aside)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # Without a sync for each answer: a power cut may lose the last ones, never the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_TABLE)
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def get(self, key: bytes) -> Stored | None:
        """Return what is known of a question, None if it was never asked."""
        row = self._connection.execute(
            "SELECT status, answer, reason, tries, run FROM answers WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else Stored(*row)

    def answered(self, key: bytes, answer: str, asked: Asked) -> None:
        """Keep an answer; at once and for good."""
        self._put(key, "answered", answer, "", asked)

    def failed(self, key: bytes, reason: str, asked: Asked) -> None:
        """Keep that a question got no usable answer, and why; counts the tries."""
        self._put(key, "failed", "", reason, asked)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """Return how many rows there are by model, prompt and status."""
        rows = self._connection.execute(
            "SELECT model, prompt, status, COUNT(*) FROM answers GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return {(model, prompt, status): count for model, prompt, status, count in rows}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> "AnswerStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, key: bytes, status: str, answer: str, reason: str, asked: Asked) -> None:
        self._connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET status = excluded.status, answer = excluded.answer, "
            "reason = excluded.reason, tries = tries + 1, run = excluded.run, "
            "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = completion_tokens + excluded.completion_tokens, at = excluded.at "
            "WHERE answers.status = 'failed'",
            (
                key,
                asked.prompt,
                asked.model,
                status,
                answer,
                reason,
                asked.run,
                asked.prompt_tokens,
                asked.completion_tokens,
                time.time(),
            ),
        )
