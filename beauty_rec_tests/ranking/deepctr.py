"""deepctr-torch without its call to the network at import."""

import sys
from types import ModuleType

import pytest


def import_deepctr() -> ModuleType:
    """Return ``deepctr_torch``, or skip the test where it is not installed.

    Its ``utils`` holds only the version check, which starts a thread that asks a package index; a
    module that checks nothing stands in for it.
    """
    quiet = ModuleType("deepctr_torch.utils")
    quiet.check_version = lambda version: None  # type: ignore[attr-defined]
    sys.modules.setdefault("deepctr_torch.utils", quiet)
    return pytest.importorskip("deepctr_torch")
