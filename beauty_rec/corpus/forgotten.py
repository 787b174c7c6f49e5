"""Users who are forgotten: as salted hashes, so that their ids stand nowhere."""

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson
import polars as pl

from beauty_rec.artifacts import ODD_JSON
from beauty_rec.corpus.intake.refusals import EXCERPT_CHARS

SALT_BYTES = 16
_WORDS = r'"(?:[^"\\]|\\.)*"|[^\s",:;{}\[\]]+'
"""What may be an id in a line that is perhaps no JSON: what is quoted, and words."""


class Mark(NamedTuple):
    """That a user is forgotten.

    Attributes:
        salt: of the hash.
        digest: HMAC-SHA-256 of the user's id with the salt as key.
        at_ms: when (Unix ms); what the user does later is another's, as far as anybody knows.
    """

    salt: bytes
    digest: bytes
    at_ms: int


def new_salt() -> bytes:
    """Return a salt that nobody can guess."""
    return secrets.token_bytes(SALT_BYTES)


def digest_of(salt: bytes, user_id: str) -> bytes:
    """Return what stands for a user under a salt, 32 bytes."""
    return hmac.digest(salt, user_id.encode(), "sha256")


@dataclass(frozen=True)
class Forgotten:
    """All users who are forgotten: salt → digest → when (Unix ms).

    >>> Forgotten.of([Mark(b"salt", digest_of(b"salt", "ann"), 5)]).at("ann")
    5
    """

    marks: Mapping[bytes, Mapping[bytes, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> "Forgotten":
        """Return the users of some marks; of two for one user the later one holds."""
        found: dict[bytes, dict[bytes, int]] = {}
        for salt, digest, at_ms in marks:
            here = found.setdefault(salt, {})
            here[digest] = max(at_ms, here.get(digest, 0))
        return cls(found)

    @classmethod
    def load(cls, path: Path) -> "Forgotten":
        """Read what :meth:`dump` wrote; nobody where there is no file.

        Raises:
            ValueError: the file is no such list; the message names it.
        """
        if not path.exists():
            return cls()
        try:
            return cls.of(
                Mark(bytes.fromhex(row["salt"]), bytes.fromhex(row["digest"]), int(row["at_ms"]))
                for row in orjson.loads(path.read_bytes())
            )
        except ODD_JSON as error:
            raise ValueError(
                f"{path} is damaged ({error}): move it away and run again, which takes anew from "
                "the database whom the service was told to forget"
            ) from error

    def dump(self) -> str:
        """Return JSON: a list of ``salt``, ``digest`` (both in hex) and ``at_ms``."""
        rows = [{"salt": m.salt.hex(), "digest": m.digest.hex(), "at_ms": m.at_ms} for m in self]
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n"

    def __iter__(self) -> Iterator[Mark]:
        for salt, users in sorted(self.marks.items()):
            for digest, at_ms in sorted(users.items()):
                yield Mark(salt, digest, at_ms)

    def __len__(self) -> int:
        return sum(map(len, self.marks.values()))

    def at(self, user_id: str) -> int | None:
        """Return when a user was forgotten (Unix ms); None for everybody else."""
        found = [at for salt, users in self.marks.items()
                 if (at := users.get(digest_of(salt, user_id))) is not None]  # fmt: skip
        return max(found, default=None)

    def among(self, users: pl.Series) -> dict[str, int]:
        """Return who of ``users`` is forgotten, and when."""
        if not self.marks:
            return {}
        found = {user: self.at(user) for user in users.unique().to_list()}
        return {user: at for user, at in found.items() if at is not None}

    def counts(self, users: pl.Series) -> dict[str, int]:
        """Return how many rows each of the forgotten has in ``users``, by digest in hex."""
        gone = self.among(users)
        rows = users.filter(users.is_in(list(gone))).value_counts()
        found: dict[str, int] = {}
        for user, count in rows.iter_rows():
            for salt, known in self.marks.items():
                if (digest := digest_of(salt, user)) in known:
                    found[digest.hex()] = count
        return found

    def allows(self, user_id: str, time_ms: int) -> bool:
        """Whether an event of this moment (Unix ms) may be kept: it is of nobody who left since."""
        at = self.at(user_id)
        return at is None or time_ms > at

    def left(self, frame: pl.DataFrame, *, time: str | None, slack_ms: int = 0) -> pl.DataFrame:
        """Return the rows (``user_id``) that are nobody's who is forgotten.

        Args:
            frame: the rows.
            time: the column that says when (Unix ms): of a user who came back, later rows stay.
                None: a row has no time, as a profile, and goes.
            slack_ms: how far ahead of the clock a time may be: rows that much later go, too.
        """
        gone = self.among(frame["user_id"])
        if not gone:
            return frame
        at = pl.col("user_id").replace_strict(gone, default=None, return_dtype=pl.Int64)
        if time is None:
            return frame.filter(at.is_null())
        return frame.filter(at.is_null() | (pl.col(time) > at + slack_ms))

    def without_excerpts(self, refused: pl.DataFrame) -> pl.DataFrame:
        """Return refused rows (``QUARANTINE_SCHEMA``) without what those of the forgotten say.

        Whose an excerpt is that was cut, or was no UTF-8, cannot be said: it goes as well.
        """
        if not self.marks:
            return refused
        words = refused["excerpt"].str.extract_all(_WORDS)
        found = words.explode().drop_nulls().unique()
        ids = pl.Series([_unescaped(word) for word in found], dtype=pl.String)
        theirs = found.filter(ids.is_in(list(self.among(ids)))).to_list()
        named = words.list.eval(pl.element().is_in(theirs)).list.any()
        said = pl.col("excerpt")
        is_anybodys = (said.str.len_chars() >= EXCERPT_CHARS) | said.str.contains("\ufffd")
        return refused.with_columns(
            excerpt=pl.when(pl.lit(named) | is_anybodys).then(pl.lit("")).otherwise(said)
        )


def _unescaped(word: str) -> str:
    """Return a word as JSON means it, where it is what may stand between quotes."""
    try:
        return str(orjson.loads(word if word.startswith('"') else f'"{word}"')).strip()
    except orjson.JSONDecodeError:
        return word.strip('" ')


NOBODY = Forgotten()
