"""The picture of the transfer's curves shows the figures that the results page has."""

import runpy

from beauty_rec_tests.docs.pages import DOCS

DRAWN = runpy.run_path(str(DOCS / "transfer_picture.py"))
PAGE = (DOCS / "results.md").read_text(encoding="utf-8")


def test_both_shops_have_both_curves() -> None:
    found = DRAWN["curves"](PAGE)
    assert set(found) == {"All_Beauty slice", "synthetic sample"}
    for kinds in found.values():
        assert list(kinds) == ["with transfer", "without"]
        for (run,) in kinds.values():
            losses = [row["valid_log_loss"] for row in run]
            assert len(run) == 6
            assert losses == sorted(losses, reverse=True)


def test_the_picture_was_drawn_of_the_figures_of_now() -> None:
    picture = (DOCS / "transfer.png").read_bytes()
    assert DRAWN["digest"](PAGE).encode() in picture, (
        "python docs/transfer_picture.py draws it anew"
    )


def test_it_can_be_drawn_again() -> None:
    assert DRAWN["picture"](PAGE).startswith(b"\x89PNG")
