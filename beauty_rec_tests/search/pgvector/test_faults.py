"""A pgvector index that is not what was built: found, never answered from, built anew."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from beauty_rec.artifacts import Vectors
from beauty_rec.search.pgvector.build import build_index
from beauty_rec.search.pgvector.cluster import cluster_fault, set_aside
from beauty_rec.search.pgvector.faults import fault
from beauty_rec.search.pgvector.index import open_current
from beauty_rec.search.pgvector.server import ClusterError, postgres
from beauty_rec.search.pgvector.tables import connect
from beauty_rec.settings import ItemIndexSettings
from beauty_rec_tests.harm import flip_bit, served_table
from beauty_rec_tests.search.pgvector.test_pgvector import some_vectors

SETTINGS = ItemIndexSettings()
VECTORS: Vectors = some_vectors(300)
NAME = "harmed"
LOSSES = {
    "table dropped": 'DROP TABLE "harmed__one"',
    "rows lost": "DELETE FROM \"harmed__one\" WHERE id = 'item 7'",
    "a vector changed": 'UPDATE "harmed__one" SET embedding = embedding + embedding'
    " WHERE id = 'item 7'",
    "an id changed": "UPDATE \"harmed__one\" SET id = 'item x' WHERE id = 'item 7'",
    "index dropped": 'DROP INDEX "harmed__one_near_idx"',
    "pointer lost": "DELETE FROM served_index WHERE name = 'harmed'",
    "pointers lost": "DROP TABLE served_index",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_is_found_and_built_anew(dsn: str, loss: str) -> None:
    build_index(dsn, VECTORS, "one", SETTINGS, name=NAME)
    assert fault(dsn, "one", name=NAME) is None
    with connect(dsn) as connection:
        connection.execute(LOSSES[loss])
    assert fault(dsn, "one", name=NAME) is not None
    build_index(dsn, VECTORS, "one", SETTINGS, name=NAME)
    assert fault(dsn, "one", name=NAME) is None
    with open_current(dsn, SETTINGS, name=NAME) as index:
        assert index.search(VECTORS.matrix[:1], 300).ids[0][0] in VECTORS.ids
        assert index.count() == 300
    with connect(dsn) as connection:  # the next test begins with another name of a table
        connection.execute("DROP TABLE IF EXISTS harmed__one, harmed__one_2")
        connection.execute("DELETE FROM served_index WHERE name = 'harmed'")
        connection.execute("DELETE FROM retired_index WHERE name = 'harmed'")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: a second pytest would close its parents to the user that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="beauty-rec-damage-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.faults
def test_a_damaged_page_is_an_error_and_the_cluster_is_made_anew(folder: Path) -> None:
    with postgres(folder) as dsn:
        build_index(dsn, VECTORS, "one", SETTINGS)
        with connect(dsn) as connection:
            _, file = served_table(connection)
        assert cluster_fault(folder) is None  # in use: nothing is said
    assert cluster_fault(folder) is None
    flip_bit(folder / "cluster" / file, b"item 150")
    assert "is damaged" in (cluster_fault(folder) or "")
    with postgres(folder) as dsn:
        assert "damaged" in (fault(dsn, "one") or "")
        with open_current(dsn, SETTINGS) as index, pytest.raises(psycopg.Error):
            index.search(VECTORS.matrix[:1], 300)
    aside = set_aside(folder)
    assert aside is not None
    assert aside.is_dir()
    with postgres(folder) as dsn:
        build_index(dsn, VECTORS, "one", SETTINGS)
        assert fault(dsn, "one") is None


def test_a_cluster_of_another_version_is_said_and_makes_room(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("9\n")
    assert f"{cluster} is of another version" in (cluster_fault(tmp_path) or "")
    with pytest.raises(ClusterError, match="found version 9"), postgres(tmp_path):
        pass
    aside = set_aside(tmp_path)
    assert aside is not None
    assert (aside / "PG_VERSION").exists()
    assert not cluster.exists()
