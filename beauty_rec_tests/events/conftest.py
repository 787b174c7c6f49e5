"""The reviews of the towers' tests."""

from beauty_rec_tests.towers.conftest import reviews

__all__ = ["reviews"]
