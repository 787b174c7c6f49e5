"""Prices as shops of many countries write them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beauty_rec.corpus.price import MOST, parse_price


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12,99 €", 12.99), ("1.299,00 €", 1299), ("R$ 19,90", 19.9), ("from 10.00", 10),
        ("1,299.00", 1299), ("1 299,00", 1299), ("1'299.00", 1299), ("1’299", 1299),
        ("1\u00a0299,00\u00a0€", 1299), ("1\u202f299", 1299), ("10 000", 10_000),
        ("1.299.000", 1_299_000), ("1.234.567,89", 1_234_567.89), ("₹1,29,999.00", 129_999),
        ("12,5", 12.5), ("1,29", 1.29), ("1299,5", 1299.5), ("1299.000", 1299), ("0,999", 0.999),
        (".99", 0.99), ("$.99", 0.99), ("９.９９", 9.99), ("0.00", 0), ("5", 5),
        ("USD 12.99", 12.99), ("12.99USD", 12.99), ("EUR12,99", 12.99), ("US$12.99", 12.99),
        ("Rs.499", 499), ("S/ 12.90", 12.9), ("199 kr.", 199), ("1299,50 zł", 1299.5),
        ("CHF 10.-", 10), ("10,- €", 10), ("12€99", 12.99), ("CHF 1'299.–", 1299),
        ("$10.00 - $20.00", 10), ("12.99–19.99", 12.99), ("10,00 € bis 20,00 €", 10),
        ("$10 to $20", 10), ("10-20", 10), ("2 for $10.00", 10), ("Save 20% $8.00", 8),
        ("12.99 (1.30/oz)", 12.99), ("$12.99 ($1.30 / Count)", 12.99), ("12,99 €/kg", 12.99),
        ("١٢٫٥", 12.5), ("١٬٢٩٩٫٥٠ ر.س", 1299.5), ("۱۲٬۰۰۰", 12_000), ("₹१,२९९", 1299),
        ("1'299.–", 1299), ("EUR 12", 12), ("1.299,-", 1299), ("12.99 €/100ml", 12.99),
        ("₹499/-", 499), ("Rs. 1,299 /-", 1299), ("$12.99 5 mil gloves", 12.99),
        ("12,99 - 15,99 €", 12.99), ("10-20 €", 10), ("12.99 - 15.99 USD", 12.99),
        ("1 – 2 €/kg", 1), ("Pack of 2: 10 - 20 €", 10), ("$12.99 - 20% off", 12.99),
        ("2 x 10 €", 10), ("50-100 ml 12 €", 12), ("2-3 days $5", 5),
    ],
)  # fmt: skip
def test_a_price_is_read_by_its_own_form(text, amount):
    assert parse_price(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "", "—", "Free", "n/a", "NaN", "inf", "-5.00", "-$5.00", "$-5.00", "−5", "5%", "20 % off",
        "1,2,3", "1.299.99", "12..5", "12.10.2020", "1'29", "1 299.000,50", "50ml", "B07X1", "1.2k",
        "1e3", "99¢", "was $20.00 now $10.00", "2 for 10.00", "$12 99", "10.00 20.00", "(12.99)",
        "$12⁹⁹", "$½", "12½", "①②", "1_000", "12.99-", "5 cents", "99 ct", "50 pence", "12 € 99",
        "12 kr 50", "12/99", "12\u200b99", "12 €99", "12€ 99", "2 $10", "12 kr 50 öre",
        "5 dollars 5 cents", "3.5 million", "€3,5 Mio", "$2 billion", "5 k", "3 万円", "2 lakh rs",
        "12 99 €", "12 99 kr", "5-10 %", "5 - 10% off", "5-10ml", "1-3 cents", "10-20-30 €",
        "9" * 50, "9" * 400, "12.99" + " " * 200 + "x",
    ],
)  # fmt: skip
def test_what_is_no_single_price_is_none(text):
    assert parse_price(text) is None


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1.299", None), ("1,299", None), ("1.299 - 1.599", None), ("$1.299", None),
        ("1,299 €", None), ("$1,299", 1299), ("£1,299", 1299), ("¥1,299", 1299), ("1.299 €", 1299),
        ("EUR 1.299,-", 1299), ("R$ 1.299", 1299), ("Rp 15.000", 15_000), ("KWD 1.299", 1.299),
        ("1.299 - 1.499 €", 1299), ("$1,299 - 1,499", 1299),
    ],
)  # fmt: skip
def test_three_digits_behind_a_lone_separator_are_left_to_the_currency(text, amount):
    assert parse_price(text) == amount


def test_numbers_are_what_they_are():
    assert [parse_price(v) for v in (12.99, 5, 0)] == [12.99, 5.0, 0.0]
    odd: tuple[Any, ...] = (True, -1, 1e12, 10**400, math.nan, math.inf, None, [], {}, b"5")
    assert [parse_price(value) for value in odd] == [None] * len(odd)


@given(
    st.integers(0, 99_999_999),
    st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", "."), ("", "."), ("", ",")]),
    st.sampled_from(["{}", "{} €", "$ {}", "CHF {}", "from {}", "{} kr", "EUR{}", "{}USD"]),
)
def test_every_way_to_write_an_amount_with_cents(cents, signs, frame):
    group, point = signs
    whole = f"{cents // 100:,}".replace(",", group)
    assert parse_price(frame.format(f"{whole}{point}{cents % 100:02}")) == cents / 100


@given(st.text(max_size=120) | st.text("0123456789.,' -$€kr/()%", max_size=40))
def test_any_text_is_a_price_or_none(text):
    amount = parse_price(text)
    assert amount is None or 0 <= amount < MOST
