"""What a review says: composed from the taste of its writer, the facets of its item, the rating."""

from random import Random

from beauty_rec.sample.catalogue import Catalogue
from beauty_rec.sample.grammar import load_phrases, load_words, pick, render, tidy
from beauty_rec.sample.tables import Facet, Tables
from beauty_rec.sample.tastes import Tastes

KINDS = {
    "who": 3.0, "why": 3.0, "who-not": 0.7, "scent": 1.6, "unscented": 0.8, "texture": 1.0,
    "ingredient": 1.0, "color": 1.2, "quirk": 2.0, "when": 1.2, "occasion": 1.4, "gift": 0.6,
    "price": 0.8, "filler": 1.0,
}  # fmt: skip
"""What a sentence may speak of, and how often beside the others."""
TINY, EMPTY, CONTEXT = 0.13, 0.006, 0.35
"""Shares of reviews: a word or two, no text at all, an occasion known beforehand."""


class ReviewWriter:
    """Writes titles and texts; two writers with the same ``random`` write the same."""

    def __init__(
        self, tables: Tables, tastes: Tastes, catalogue: Catalogue, random: Random
    ) -> None:
        self.tables, self.tastes, self.catalogue, self.random = tables, tastes, catalogue, random
        self.phrases, self.words = load_phrases(), load_words()

    def write(self, user: int, item: int, occasion: int, rating: int) -> tuple[str, str]:
        """Return title and text of one review."""
        random = self.random
        tone = "good" if rating > 3 else "fair" if rating == 3 else "bad"
        slots, kinds = self._facts(user, item, occasion)
        title = self._title(tone, slots, kinds)
        draw = random.random()
        if draw < EMPTY:
            return title, ""
        if draw < EMPTY + TINY:
            return title, self._rough(self._say(f"tiny-{tone}", slots))
        sentences = []
        if random.random() < 0.8:
            sentences.append(self._say(f"open-{tone}", slots))
        weights = {kind: KINDS[kind] for kind in kinds}
        for _ in range(min(9, 1 + int(random.lognormvariate(0.9, 0.6)))):
            kind = self._draw(weights)
            del weights[kind]
            firm = kind in ("who", "who-not", "why") and tone != "fair"
            sentences.append(
                self._sentence(kind, tone if firm else self._turn(tone, rating), slots)
            )
            if not weights:
                break
        if random.random() < 0.25:
            sentences.append(self._say(f"close-{tone}", slots))
        return title, self._rough(self._join(sentences))

    def context(self, occasion: int) -> str | None:
        """Return the occasion as known before the choice, on a share of the reviews."""
        if self.random.random() >= CONTEXT:
            return None
        return pick(self.tables.occasions[occasion].context, self.random)

    def _facts(self, user: int, item: int, occasion: int) -> tuple[dict[str, str], list[str]]:
        """Return the slots' fillings and the kinds of sentences that they allow."""
        tables, goods, tastes, random = self.tables, self.catalogue, self.tastes, self.random
        department = tables.departments[goods.department[item]]
        product = department.types[goods.type[item]]
        facet, concern = tables.segments[department.segment], tables.concerns[department.concern]
        own = int(tastes.segments[user, department.segment])
        made_for = int(goods.segment[item])
        other = (own + 1 + int(random.random() * (len(facet.values) - 1))) % len(facet.values)
        first, second = tastes.concerns[user, department.concern].tolist()
        solved = int(goods.concern[item])
        wanted = solved if solved in (first, second) or random.random() < 0.6 else first
        ingredients = concern.values[solved].ingredients
        scent, form = int(goods.scent[item]), product.forms[goods.form[item] % len(product.forms)]
        quirks = tables.quirks[department.sizes]
        liked, disliked = quirks[goods.quirk[item] % len(quirks)]
        # A person in a hurry says "this product", which no retriever can use.
        vague = random.random() < 0.25
        own_day = int(goods.occasion[item]) if random.random() < 0.5 else occasion
        name = (
            pick(("product", "one", "thing", "item"), random)
            if vague
            else pick(product.names, random)
        )
        many = name.endswith("s")
        slots = {
            "name": name,
            "this": "these" if many else "this",
            "is": "are" if many else "is",
            "a": "" if many else "an " if name[0] in "aeiou" else "a ",
            "s": "" if many or name.endswith(("sh", "r", "g")) else "s",
            "brand": goods.brands.name[goods.brand[item]],
            "duration": pick(self.words["durations"], random),
            "moment": pick(self.words["moments"], random),
            "person": pick(self.words[f"persons-{'man' if tastes.man[user] else 'woman'}"], random),
            "age": str(tastes.age[user]),
            "mine": _word(facet, own, random),
            "other": _word(facet, other, random),
            "theirs": _word(facet, other if made_for in (-1, own) else made_for, random),
            "problem": _word(concern, wanted, random),
            "occasion": pick(tables.occasions[own_day].words, random),
            "liked": liked,
            "disliked": disliked,
            "price": str(goods.price_level[item]),
            "who": "love" if facet.loved else "have",
            "why": "mood" if concern.mood else "problem",
        }
        kinds = ["who", "why", "who-not", "quirk", "when", "occasion", "gift", "price", "filler"]
        if scent >= 0:
            slots["scent"] = tables.scents[scent][1]
            kinds.append("unscented" if scent == tables.unscented else "scent")
        if form in tables.textures:
            slots["texture"] = tables.textures[form]
            kinds.append("texture")
        if goods.ingredient[item] >= 0 and ingredients:
            slots["ingredient"] = ingredients[goods.ingredient[item] % len(ingredients)].lower()
            kinds.append("ingredient")
        if goods.color[item] >= 0:
            slots["color"] = tables.colors[goods.color[item]].lower()
            kinds.append("color")
        return slots, kinds

    def _turn(self, tone: str, rating: int) -> str:
        """Return the tone of one sentence: mixed feelings at two to four stars."""
        draw = self.random.random()
        if tone == "fair":
            return "good" if draw < 0.35 else "bad" if draw < 0.7 else "fair"
        if (rating == 4 and draw < 0.15) or (rating == 2 and draw < 0.15):
            return "bad" if tone == "good" else "good"
        return tone

    def _sentence(self, kind: str, tone: str, slots: dict[str, str]) -> str:
        negated = kind == "who-not"
        kind = (
            slots["who"] if negated else slots.get(kind, kind) if kind in ("who", "why") else kind
        )
        if kind == "filler":
            return self._say("filler", slots)
        if negated:
            return self._say(f"{kind}-not-good" if tone == "good" else f"{kind}-bad", slots)
        if f"{kind}-{tone}" not in self.phrases and kind != "price":
            tone = pick(("good", "bad"), self.random)
        if kind == "price":
            return self._say(f"price-{'bad' if tone == 'bad' else 'good'}-{slots['price']}", slots)
        return self._say(f"{kind}-{tone}", slots)

    def _title(self, tone: str, slots: dict[str, str], kinds: list[str]) -> str:
        draw, name = self.random.random(), f"title-{tone}"
        for kind, below in ((slots["who"], 0.18), (slots["why"], 0.4)):
            if draw < below and f"{name}-{kind}" in self.phrases:
                name = f"{name}-{kind}"
                break
        return self._say(name, slots)

    def _say(self, name: str, slots: dict[str, str]) -> str:
        return tidy(render(pick(self.phrases[name], self.random), slots, self.random))

    def _draw(self, weights: dict[str, float]) -> str:
        left = self.random.random() * sum(weights.values())
        for kind, weight in weights.items():
            left -= weight
            if left < 0:
                return kind
        return kind

    def _join(self, sentences: list[str]) -> str:
        if self.random.random() < 0.12:
            at = 1 + int(self.random.random() * len(sentences))
            return "<br /><br />".join(
                filter(None, (" ".join(p) for p in (sentences[:at], sentences[at:])))
            )
        return " ".join(sentences)

    def _rough(self, text: str) -> str:
        """Make the text look typed by a person: emoji, entities, typos, lost punctuation."""
        random = self.random
        if random.random() < 0.06:
            text += " " + pick(self.words["emoji"], random) * (1 + int(random.random() * 3))
        if random.random() < 0.05:
            text = text.replace("&", "&amp;").replace("'", "&#39;")
        if random.random() < 0.06:
            text = text.lower()
        elif random.random() < 0.02:
            text = text.upper().replace("<BR />", "<br />").replace("&AMP;", "&amp;")
        if random.random() < 0.08:
            text = text.rstrip(".!")
        if random.random() < 0.12 and len(text) > 40:
            at = 20 + int(random.random() * (len(text) - 30))
            if text[at : at + 2].isalpha():
                text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text


def _word(facet: Facet, value: int, random: Random) -> str:
    return pick(facet.values[value].words, random)
