"""Item metadata rows, as patchy as the real file: counted on Amazon Reviews 2023, All_Beauty."""

import json
from random import Random
from typing import Any

from beauty_rec.sample.catalogue import DAY_MS, START_MS, Catalogue
from beauty_rec.sample.grammar import load_phrases, load_words, pick, render, tidy
from beauty_rec.sample.tables import Tables

NO_ROW = 0.03
"""Share of the items that the metadata file does not hold at all."""
NO_PRICE, NO_DESCRIPTION, NO_STORE, NO_FEATURES, NO_DETAILS = 0.81, 0.82, 0.10, 0.60, 0.45
_SIZES = {
    "volume": ("1 oz", "1.7 fl oz (50 ml)", "3.4 oz", "8 Fl Oz", "12 oz", "16 Ounce", "2 Pack"),
    "count": ("1 Pack", "3 Pcs", "6 Pcs", "Set of 4", "12 Count", "Pack of 2"),
    "shade": ("0.25 oz", "12 Shades", "Pack of 3", "0.1 Fl Oz", "1 Count", "24 Pcs"),
}
_RESELLERS = ("Beauty Outlet Direct", "Generic", "Daily Deals Store", "Vanity Wholesale")


class MetadataWriter:
    """Writes rows in the layout of the official metadata."""

    def __init__(self, tables: Tables, catalogue: Catalogue, random: Random) -> None:
        self.tables, self.catalogue, self.random = tables, catalogue, random
        self.phrases, self.moments = load_phrases(), load_words()["moments"]

    def write(self, item: int, asin: str, average: float, number: int) -> dict[str, Any]:
        """Return one row; ``average`` and ``number`` are the snapshot of its ratings."""
        random, slots = self.random, self._slots(item)
        brand = slots["brand"]
        store = pick(_RESELLERS, random) if random.random() < 0.06 else brand
        return {
            "main_category": "All Beauty" if random.random() < 0.97 else "Premium Beauty",
            "title": self._title(slots),
            "average_rating": average,
            "rating_number": number,
            "features": []
            if random.random() < NO_FEATURES
            else self._render("features-good", slots),
            "description": []
            if random.random() < NO_DESCRIPTION
            else self._render("description", slots),
            "price": None if random.random() < NO_PRICE else self._price(item),
            "images": [],
            "videos": [],
            "store": None if random.random() < NO_STORE else store,
            "categories": [],
            "details": {} if random.random() < NO_DETAILS else self._details(item, slots),
            "parent_asin": asin,
            "bought_together": None,
        }

    def _slots(self, item: int) -> dict[str, str]:
        tables, goods, random = self.tables, self.catalogue, self.random
        department = tables.departments[goods.department[item]]
        product = department.types[goods.type[item]]
        facet = tables.segments[department.segment]
        concerns = tables.concerns[department.concern]
        concern = concerns.values[goods.concern[item]]
        form = product.forms[goods.form[item] % len(product.forms)]
        slots = {
            "brand": goods.brands.name[goods.brand[item]],
            "noun": product.noun,
            "claim": concern.name,
            "seg": "everyone",
            "size": pick(_SIZES[department.sizes], random),
            "moment": pick(self.moments, random),
        }
        if not concerns.mood:
            slots["problem"] = pick(concern.words, random)
        if form not in product.noun:
            slots["form"] = form
        if goods.segment[item] >= 0:
            value = facet.values[goods.segment[item]]
            slots["seg"] = value.words[0]
            slots["segment"] = value.name.title()
            slots["segment_title"] = facet.title.format(value.name.title())
            slots["segment_detail"] = facet.detail
        if goods.scent[item] >= 0:
            name = slots["scent_title"] = tables.scents[goods.scent[item]][0]
            if goods.scent[item] != tables.unscented:
                slots["scent"] = name
        if goods.color[item] >= 0:
            slots["color"] = tables.colors[goods.color[item]]
        if goods.ingredient[item] >= 0 and concern.ingredients:
            slots["ingredient"] = concern.ingredients[
                goods.ingredient[item] % len(concern.ingredients)
            ]
        if goods.occasion[item] > 0:
            occasion = tables.occasions[goods.occasion[item]]
            slots["occasion"] = pick(occasion.words, random)
            slots["occasion_title"] = f"Great for {occasion.name.title()}"
        return slots

    def _title(self, slots: dict[str, str]) -> str:
        random = self.random

        def some(name: str, chance: float) -> str:
            return slots[name] if name in slots and random.random() < chance else ""

        lead = " ".join(
            filter(
                None,
                (
                    some("brand", 0.88),
                    some("ingredient", 0.6),
                    some("form", 0.25),
                    slots["noun"],
                    some("segment_title", 0.62),
                ),
            )
        )
        tail = [some("claim", 0.68), some("scent_title", 0.6), some("color", 0.65)]
        tail += [some("occasion_title", 0.35), some("size", 0.7)]
        random.shuffle(tail)
        mark = pick((", ", " - ", " | ", ", "), random)
        return mark.join(filter(None, (lead, *tail)))

    def _render(self, name: str, slots: dict[str, str]) -> list[str]:
        """Return those of the templates whose slots are filled, two to five of them."""
        lines = []
        for phrase in self.random.sample(self.phrases[name], 5):
            try:
                lines.append(tidy(render(phrase, slots, self.random)))
            except KeyError:  # an item without a scent says nothing of scent
                continue
        return lines[: 2 + int(self.random.random() * 4)]

    def _price(self, item: int) -> float | str:
        level = int(self.catalogue.price_level[item])
        price = round(self.random.lognormvariate((1.9, 2.7, 3.6)[level], 0.3), 2)
        draw = self.random.random()
        if draw < 0.06:
            return f"from {price:.2f}"
        return f"${price:.2f}" if draw < 0.12 else price

    def _details(self, item: int, slots: dict[str, str]) -> dict[str, str] | str:
        days = max(0, int(self.catalogue.launch_ms[item] - START_MS) // DAY_MS)
        given = {
            "Brand": slots["brand"],
            "Item Form": slots.get("form"),
            "Scent": slots.get("scent_title"),
            "Color": slots.get("color"),
            "Active Ingredients": slots.get("ingredient"),
            slots.get("segment_detail", "Age Range"): slots.get("segment", "Adult"),
            "Is Discontinued By Manufacturer": "No",
            "Year First Available": str(2015 + days // 365),
        }
        kept = {
            name: value for name, value in given.items() if value and self.random.random() < 0.55
        }
        return json.dumps(kept) if self.random.random() < 0.02 else kept
