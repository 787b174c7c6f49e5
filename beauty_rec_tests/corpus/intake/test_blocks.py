import gzip
import os
import subprocess
import sys

import pytest

from beauty_rec.corpus.intake import ingest as intake
from beauty_rec.corpus.intake.errors import CorpusFileError
from beauty_rec.corpus.intake.ingest import ingest_reviews
from beauty_rec.settings import CorpusSettings
from beauty_rec_tests.corpus.rows import NOW_MS, review, write_lines


def fault(tmp_path, source):
    out = tmp_path / "out"
    with pytest.raises(CorpusFileError) as caught:
        ingest_reviews(source, out / "r.parquet", out / "q.parquet", CorpusSettings(), NOW_MS)
    assert str(source) in str(caught.value)
    assert caught.value.remedy in str(caught.value)
    assert not out.exists() or not list(out.iterdir())
    return caught.value.fault


def make(path, data):
    path.write_bytes(data)
    return path


def test_faults_of_a_whole_file_name_the_path_and_leave_nothing(tmp_path):
    packed = gzip.compress(b'{"x": 1}\n' * 100_000)
    assert fault(tmp_path, tmp_path / "none.jsonl") == "does not exist"
    assert fault(tmp_path, make(tmp_path / "e.jsonl", b"")) == "is empty"
    assert fault(tmp_path, make(tmp_path / "b.jsonl", b"\n \n")) == "holds no rows"
    assert fault(tmp_path, make(tmp_path / "g.jsonl.gz", gzip.compress(b""))) == "holds no rows"
    assert fault(tmp_path, make(tmp_path / "x.csv", b"a,b")) == "has an unknown suffix"
    assert fault(tmp_path, make(tmp_path / "p.jsonl", packed)) == "is gzip-compressed"
    assert "not a sound gzip" in fault(tmp_path, make(tmp_path / "n.jsonl.gz", b'{"x": 1}\n'))
    assert "cut off" in fault(tmp_path, make(tmp_path / "t.jsonl.gz", packed[:-200]))
    assert "cut off" in fault(tmp_path, make(tmp_path / "h.jsonl.gz", packed[:5]))
    broken = packed[:200] + bytes(50) + packed[250:]
    assert "gzip" in fault(tmp_path, make(tmp_path / "d.jsonl.gz", broken))
    assert "Parquet" in fault(tmp_path, make(tmp_path / "q.parquet", b"PAR1 no more"))
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    assert fault(tmp_path, folder) == "is a folder"
    loop, pipe = tmp_path / "loop.jsonl", tmp_path / "pipe.jsonl"
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    assert fault(tmp_path, loop) == "is a link that leads nowhere"
    assert fault(tmp_path, pipe) == "is a pipe or a device"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{"x": 1}\n'.encode("utf-16"), "is text in UTF-16 or UTF-32"),
        ('{"x": 1}\n'.encode("utf-16-le"), "is text in UTF-16 or UTF-32"),
        ('{"x": 1}\n'.encode("utf-32-be"), "is text in UTF-16 or UTF-32"),
        (b"PAR1\x15\x04", "is a Parquet file"),
        (b"\x28\xb5\x2f\xfd\x04", "is compressed with zstd"),
        (b"PK\x03\x04\x14", "is a zip archive"),
    ],
)
def test_another_kind_of_file_is_called_so(tmp_path, data, said):
    assert fault(tmp_path, make(tmp_path / "a.jsonl", data)) == said
    assert fault(tmp_path, make(tmp_path / "a.jsonl.gz", gzip.compress(data))) == said
    twice = gzip.compress(gzip.compress(data))
    assert fault(tmp_path, make(tmp_path / "b.jsonl.gz", twice)) == "is gzip-compressed twice"


def test_a_fault_keeps_what_stood_there_before(tmp_path):
    target, quarantine = tmp_path / "r.parquet", tmp_path / "q.parquet"
    good = write_lines(tmp_path / "a.jsonl", [review()])
    ingest_reviews(good, target, quarantine, CorpusSettings(), NOW_MS)
    before = target.read_bytes()
    line = write_lines(tmp_path / "b.jsonl", [review(text="soft " * 400)]).read_bytes()
    (tmp_path / "b.jsonl").unlink()
    packed = gzip.compress(line * 5000)  # 11 MB: the fault lies behind the first block
    with pytest.raises(CorpusFileError, match="cut off"):
        ingest_reviews(
            make(tmp_path / "t.jsonl.gz", packed[:-9]), target, quarantine, CorpusSettings(), NOW_MS
        )
    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.jsonl", "q.parquet", "r.parquet", "t.jsonl.gz",
    ]  # fmt: skip


def test_a_byte_order_mark_and_gzip_of_several_members(tmp_path):
    one = write_lines(tmp_path / "1.jsonl", [review()]).read_bytes()
    two = write_lines(tmp_path / "2.jsonl", [review(user_id="U2")]).read_bytes()
    both = gzip.compress(b"\xef\xbb\xbf" + one) + gzip.compress(b"\xef\xbb\xbf" + two)
    result = ingest_reviews(
        make(tmp_path / "m.jsonl.gz", both),
        tmp_path / "r.parquet", tmp_path / "q.parquet", CorpusSettings(), NOW_MS,
    )  # fmt: skip
    assert (result.kept, result.refused) == (2, {})


def test_a_dead_worker_is_a_clear_error(tmp_path, monkeypatch):
    from beauty_rec.corpus.intake import pool

    monkeypatch.setattr(intake, "_SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(pool, "_START", "import os; os._exit(9)")
    source = write_lines(tmp_path / "a.jsonl", [review()])
    with pytest.raises(RuntimeError, match=r"ended with code 9.*workers=0"):
        ingest_reviews(
            source, tmp_path / "o" / "r.parquet", tmp_path / "o" / "q.parquet",
            CorpusSettings(workers=1), NOW_MS,
        )  # fmt: skip
    assert not list((tmp_path / "o").iterdir())


def test_a_worker_imports_nothing_heavy():
    code = (
        "import sys, beauty_rec.corpus.intake.pool, beauty_rec.corpus.intake.ingest; "
        "import beauty_rec.corpus.intake.check; "
        "print([m for m in ('torch', 'dagster', 'transformers', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
