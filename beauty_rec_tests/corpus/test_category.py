import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_rec.corpus.category import Category, categorize, departments


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Argan Oil Shampoo for Dry Hair, 8 oz", "Shampoo"),
        ("Night cream with retinol serum", "Face Moisturizer"),
        ("Silicone Shampoo Brush", "Hair Brushes & Combs"),
        ("Moisturizing Cream Lipstick", "Lipstick"),
        ("Nourishing Body Crème", "Body Lotion & Cream"),
        ("GEL NAIL POLISH set, 6 colours", "Gel Polish"),
        ("Vitamin C Face Serum", "Face Serum"),
        ("Makeup Brushes 14pcs", "Makeup Brushes"),
        ("False eyelashes, 3D mink", "False Eyelashes"),
        ("Gift card", None),
        ("", None),
        ("Soapstone carving", None),
    ],
)
def test_titles(title, name):
    assert categorize(title, [], {}) == Category(name, "rules" if name else "none")


def test_features_and_details_speak_where_the_title_does_not():
    assert categorize("Red Rose No. 5", ["This lipstick stays on"], {}).name == "Lipstick"
    assert categorize("Red Rose No. 5", [], {"Product Type": "Nail Polish"}).name == "Nail Polish"
    assert categorize("Red Rose mascara", ["goes with any lipstick"], {}).name == "Mascara"
    assert categorize("Red Rose", [], {"Product Type": 7}).name is None


def test_every_category_is_reachable_and_in_one_department():
    names = [name for table in departments().values() for name in table]
    assert len(names) == len(set(names)) > 60
    from beauty_rec.corpus.category import _table

    words = [(w, n) for t in _table().values() for n, ws in t.items() for w in ws]
    assert len({w for w, _ in words}) == len(words)
    for word, name in words:
        assert categorize(word, [], {}).name == name


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_is_taken(title, features):
    categorize(title, features, {"Item Form": title})
