"""The store of answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from beauty_rec.language.answer_store import AnswerStore, Asked
from beauty_rec_tests.harm import truncate

ASKED = Asked("keywords-1", "m", "run1", 10, 5)


def test_answers_and_failures_are_kept(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "a.sqlite") as store:
        store.answered(b"1", "{}", ASKED)
        store.failed(b"2", "no JSON", ASKED)
        store.failed(b"2", "too long", ASKED)
    with AnswerStore(tmp_path / "a.sqlite") as store:
        answered = store.get(b"1")
        assert answered is not None
        assert answered.answer == "{}"
        failed = store.get(b"2")
        assert failed is not None
        assert (failed.status, failed.reason, failed.tries) == ("failed", "too long", 2)
        assert store.get(b"3") is None
        store.answered(b"2", "[]", ASKED)
        answered = store.get(b"2")
        assert answered is not None
        assert answered.status == "answered"
        store.failed(b"1", "late", ASKED)  # of another process that asked the same
        answered = store.get(b"1")
        assert answered is not None
        assert answered.status == "answered"
        assert store.counts() == {("m", "keywords-1", "answered"): 2}


def test_two_processes_write_and_a_kill_loses_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from beauty_rec.language.answer_store import AnswerStore, Asked\n"
        "store = AnswerStore(Path(sys.argv[1]))\n"
        "for i in range(200):\n"
        "    store.answered(f'{sys.argv[2]}{i}'.encode(), '{}', Asked('p', 'm', 'r', 1, 1))\n"
        "os.kill(os.getpid(), 9)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [-9, -9]
    with AnswerStore(path) as store:
        assert store.counts() == {("m", "p", "answered"): 400}


@pytest.mark.parametrize("harm", ["truncated", "overwritten"])
def test_a_damaged_store_is_moved_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    path = tmp_path / "a.sqlite"
    with AnswerStore(path) as store:
        for number in range(500):
            store.answered(f"{number}".encode(), "{}" * 50, Asked("p", "m", "r", 1, 1))
    if harm == "truncated":
        truncate(path)
    else:
        path.write_text("not a database, and long enough to be told from one" * 9)
    with AnswerStore(path) as store:
        assert store.counts() == {}
        store.answered(b"1", "{}", Asked("p", "m", "r", 1, 1))
    assert f"{path} is damaged" in caplog.text
    assert (tmp_path / "a.damaged.sqlite").exists()
