"""A database is that of one shop, wherever its folder moves to."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from beauty_rec.search.pgvector.owner import FILE, claim
from beauty_rec.search.pgvector.tables import connect
from beauty_rec.serving.state.taking import made_store
from beauty_rec.settings import Settings
from beauty_rec.verified import nothing_kept


@pytest.fixture(autouse=True)
def free_database(dsn: str) -> Iterator[None]:
    yield
    with connect(dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS database_owner")


def shop(folder: Path, dsn: str, url: str | None = None) -> Settings:
    return Settings(data_dir=folder, item_index={"dsn": dsn}, storage={"url": url})


def test_the_database_of_another_shop_is_refused(tmp_path: Path, dsn: str) -> None:
    first, second = shop(tmp_path / "a", dsn), shop(tmp_path / "b", dsn)
    with nothing_kept():  # a dry run claims nothing
        claim(second)
    assert not (tmp_path / "b").exists()
    for _ in range(2):
        claim(first)
    said = rf"that of the shop in {tmp_path}/a: name another one for {tmp_path}/b"
    with pytest.raises(RuntimeError, match=said) as refused, made_store(second):
        pass
    remedy = str(refused.value).rpartition("in the database: ")[2]
    assert remedy == "DROP TABLE database_owner"
    with connect(dsn) as connection:
        connection.execute("DROP TABLE database_owner")
    claim(second)
    claim(shop(tmp_path / "c", "postgresql://nobody@localhost:1/away"))


def test_a_folder_that_moves_takes_its_database_along(tmp_path: Path, dsn: str) -> None:
    claim(shop(tmp_path / "a", dsn))
    (tmp_path / "a").rename(tmp_path / "moved")
    claim(shop(tmp_path / "moved", dsn))
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    with pytest.raises(RuntimeError, match=rf"is a copy of {tmp_path}/moved.* and delete "):
        claim(shop(tmp_path / "copy", dsn))
    claim(shop(tmp_path / "moved", dsn))
    (tmp_path / "copy" / FILE).unlink()
    with pytest.raises(RuntimeError, match=rf"of the shop in {tmp_path}/moved"):
        claim(shop(tmp_path / "copy", dsn))  # a shop of its own now


def test_workers_of_one_store_are_one_shop(tmp_path: Path, dsn: str) -> None:
    claim(shop(tmp_path / "one", dsn))  # it gets a store later
    for worker in ("one", "two", "one"):
        claim(shop(tmp_path / worker, dsn, "s3://bucket/shop"))
    with pytest.raises(RuntimeError, match="that of the shop in"):
        claim(shop(tmp_path / "one", dsn, "s3://bucket/other"))
