"""The shop's rules: read from their file, and again whenever it changes."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from weakref import ref

from beauty_rec.artifacts import write_text_atomic
from beauty_rec.recommender.online.rules.apply import ShopRules, rows_of
from beauty_rec.recommender.online.rules.file import (
    MAX_BYTES,
    AnyRule,
    RulesError,
    parse_rules,
    refusal,
)
from beauty_rec.recommender.online.snapshot import Snapshot
from beauty_rec.recommender.online.stock.catalogue import Catalogue
from beauty_rec.recommender.online.stock.columns import UnknownFilter

LOG = logging.getLogger("beauty_rec.serving")
ACCEPTED = "rules.sha256"
"""In the folder of the sets: the digest of the file that last fitted the shop."""
MOST_MADE = 4
"""Sets that are answered from side by side for which the rules are kept ready."""


def read_rules(path: Path) -> tuple[str, list[AnyRule]]:
    """Return the text of a file and its rules.

    Raises:
        RulesError: it cannot be read, or is not valid.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
            raise RulesError(f"{path}: is no file; put one there, or unset serve.rules")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RulesError(f"{path}: more than {MAX_BYTES:,} bytes; shorten it")
        text = content.decode("utf-8-sig")  # editors of Windows begin a file with a mark
    except OSError as error:
        said = error.strerror or str(error)
        raise RulesError(f"{path}: {said}; put the file there, or unset serve.rules") from None
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return text, parse_rules(text, str(path))


def refuse_unknown(path: Path, text: str, rules: Sequence[AnyRule], shop: Snapshot) -> None:
    """Hold the rules of a file against the shop.

    Raises:
        RulesError: one names what the shop does not have.
    """
    for number, rule in enumerate(rules):
        try:
            rows_of(rule, shop)
        except UnknownFilter as error:
            raise refusal(str(path), text, number, str(error)) from None


class RulesKeeper:
    """The rules that are at work; threads may share it.

    Args:
        path: of the file; None: there are no rules.
        shop: that the rules have to fit.
        is_whole: whether the shop has all that was given to it; a name that it does not know may
            otherwise be of an item that is still to come.
        root: folder of the sets, where is noted which file fitted the shop: what it names may have
            gone since, and a server that starts anew is to do as one that went on.

    Raises:
        RulesError: the file is not valid at the start, when there are none from before.
    """

    def __init__(
        self,
        path: Path | None,
        shop: Snapshot,
        *,
        is_whole: bool = True,
        root: Path | None = None,
    ) -> None:
        self.path, self._lock = path, threading.Lock()
        self._accepted = None if root is None else root / ACCEPTED
        self._text, self._rules = "", list[AnyRule]()
        self._made: list[tuple[ref[Catalogue], Sequence[AnyRule], ShopRules]] = []
        self.refused: str | None = None
        """Why the file is not at work as it is now; None when it is."""
        self.loads = self.refusals = 0
        if path is None:
            return
        self._text, self._rules = read_rules(path)
        try:
            refuse_unknown(path, self._text, self._rules, shop)
        except RulesError as error:
            if not is_whole:
                LOG.warning("rules", extra={"event": "rules_not_all_known", "error": str(error)})
            elif self._fitted():
                self._refuse(error)
            else:
                raise
        else:
            self._accept()

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def rules(self) -> Sequence[AnyRule]:
        """The rules at work, in the order of the file."""
        return self._rules

    @property
    def text(self) -> str:
        """The file that they were read from; empty where there is none."""
        return self._text

    def look(self, shop: Snapshot, *, is_whole: bool = True) -> bool:
        """Read the file again; return whether other rules are at work now.

        A file that is not valid is refused, and the rules from before stay. The file at work is
        held against a shop that is whole only, as at the start.
        """
        if self.path is None:
            return False
        try:
            text, rules = read_rules(self.path)
            if is_whole or text != self._text:
                refuse_unknown(self.path, text, rules, shop)
        except RulesError as error:
            self._refuse(error)
            return False
        self.refused, is_new = None, text != self._text
        if is_new:
            self._text, self._rules = text, rules
            self.loads += 1
            LOG.info("rules", extra={"event": "rules_loaded", "rules": len(rules)})
        if is_new or is_whole:
            self._accept()
        return is_new

    def _refuse(self, error: RulesError) -> None:
        if str(error) != self.refused:
            self.refusals += 1
            LOG.error("rules", extra={"event": "rules_refused", "error": str(error)})
        self.refused = str(error)

    def _accept(self) -> None:
        """Note that the file fits the shop; a folder that cannot be written stops nobody."""
        if self._accepted is not None and not self._fitted():
            with suppress(OSError):
                write_text_atomic(self._accepted, self._digest)

    def _fitted(self) -> bool:
        """Whether the file that was read is the one that last fitted the shop."""
        if self._accepted is None:
            return False
        try:
            return self._accepted.read_text(errors="replace") == self._digest
        except OSError:
            return False

    @property
    def _digest(self) -> str:
        return sha256(self._text.encode()).hexdigest()

    def of(self, shop: Snapshot) -> ShopRules | None:
        """Return the rules made ready for a shop; None when there are none."""
        rules = self._rules
        if not rules:
            return None
        with self._lock:
            for catalogue, of_rules, ready in self._made:
                if catalogue() is shop.catalogue and of_rules is rules:
                    return ready
            ready = ShopRules.of(rules, shop)
            self._made = [(ref(shop.catalogue), rules, ready), *self._made[: MOST_MADE - 1]]
            return ready
