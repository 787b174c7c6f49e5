"""Asking: each text once, repairs, quarantine, budgets, retries, dead servers."""

import asyncio
import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from beauty_rec.keywords.extractor import extract_keywords
from beauty_rec.keywords.llm import LanguageModelExtractor
from beauty_rec.keywords.rules import RulesExtractor
from beauty_rec.language import client
from beauty_rec.language.client import ChatClient, retry_after_s
from beauty_rec.language.errors import BudgetSpent, ServerProblem, TooManyRefused
from beauty_rec.language.reader import Reader
from beauty_rec.language.usage import Usage
from beauty_rec.settings import LanguageSettings
from beauty_rec_tests.language.stub import Stub


def reviews(*texts: str) -> pl.DataFrame:
    count = len(texts)
    return pl.DataFrame(
        {"review_id": [f"r{i}" for i in range(count)], "parent_asin": ["B"] * count,
         "title": [""] * count, "text": list(texts)}
    )  # fmt: skip


def read(
    folder: Path, settings: LanguageSettings, *texts: str
) -> tuple[list[dict[str, Any]], Usage]:
    with Reader(settings, folder) as reader:
        extractor = LanguageModelExtractor(reader, RulesExtractor())
        found = extract_keywords(reviews(*texts), extractor).to_dicts()
        assert extractor.usage is not None
        return found, extractor.usage


def test_each_text_is_asked_once(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--latency", 0.05)
    texts = ["keyword: one"] * 5 + ["keyword: two", "", "keyword: two"]
    found, usage = read(tmp_path, server.settings(in_flight=3), *texts)
    assert [row["why"] for row in found] == [["one"]] * 5 + [["two"], [], ["two"]]
    assert (usage.requests, usage.repeated, usage.questions) == (2, 5, 7)
    assert server.requests == 2
    texts[5] = "keyword: three"
    found, usage = read(tmp_path, server.settings(), *texts)
    assert found[5]["why"] == ["three"]
    assert usage.requests == 1
    _, usage = read(tmp_path, server.settings(seed=1), *texts)
    assert usage.requests == 3


def test_another_prompt_or_model_asks_again(stub: Callable[..., Stub], tmp_path: Path) -> None:
    task = LanguageModelExtractor(Reader(LanguageSettings(), tmp_path), RulesExtractor()).task
    question = task.question({"text": "good"})
    assert question is not None
    changed = [
        ("version", "another"), ("instructions", "Say who."), ("examples", ()), ("max_tokens", 9)
    ]  # fmt: skip
    keys = {question.key("m", 1), question.key("n", 1), question.key("m", 2)}
    for name, value in changed:
        prompt = type(task.prompt)(**{**vars(task.prompt), name: value})
        other = type(task)(prompt, task.answer_model, task.max_chars).question({"text": "good"})
        assert other is not None
        keys.add(other.key("m", 1))
    assert len(keys) == 3 + len(changed)


def test_other_rules_of_what_is_taken_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Reader(LanguageSettings(), tmp_path) as reader:
        tasks = [LanguageModelExtractor(reader, RulesExtractor()).task for _ in range(4)]
    shared = [tasks[0].prompt.label, tasks[0].prefix, tasks[0].response_format]
    given = json.dumps([*shared, tasks[0].prompt.max_tokens], sort_keys=True)
    found = [blake2b(given.encode(), digest_size=16).digest()]
    for version, task in enumerate(tasks[1:], 1):
        monkeypatch.setattr("beauty_rec.language.task.RULES_VERSION", version)
        found.append(task.fingerprint)
    # What was paid for before rules had a version is of the first.
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_prompts_put_the_shared_part_first(tmp_path: Path) -> None:
    task = LanguageModelExtractor(Reader(LanguageSettings(), tmp_path), RulesExtractor()).task
    one, two = (task.question({"text": text}) for text in ("good", "bad"))
    assert one is not None
    assert two is not None
    assert one.messages()[:-1] == two.messages("too long")[:-1] == task.prefix
    assert "bad" in two.messages("too long")[-1]["content"]


def test_bad_answers_are_repaired_or_quarantined(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--faults", 1, "--always", "hopeless")
    texts = [f"keyword: w{i}" for i in range(40)] + ["hopeless shampoo for men, not greasy"]
    settings = server.settings(timeout_s=0.3, max_tries=2)
    found, usage = read(tmp_path, settings, *texts)
    assert [row["why"] for row in found[:40]] == [[f"w{i}"] for i in range(40)]
    assert usage.repaired > 5
    assert usage.quarantined == 1
    assert found[40]["source"] == "rules/1"
    assert "non-greasy" in found[40]["why"]
    assert list(usage.reasons) == ["no JSON at character 0"]
    before = server.requests
    _, usage = read(tmp_path, settings, *texts)
    assert (usage.quarantined, usage.given_up, usage.cached) == (1, 0, 40)
    assert server.requests == before + 2
    _, usage = read(tmp_path, settings, *texts)
    assert (usage.quarantined, usage.given_up) == (0, 1)
    assert server.requests == before + 2


def test_too_many_refused_answers_stop_early(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--always", "review")
    texts = [f"text {i}" for i in range(400)]
    with pytest.raises(TooManyRefused, match=r"most often: no JSON.*kept: run again"):
        read(tmp_path, server.settings(in_flight=4), *texts)
    assert server.requests < 40


@pytest.mark.parametrize("habit", ["", "uncounted"])
@pytest.mark.parametrize("budget", [{"max_requests": 10}, {"max_tokens": 10_000}])
def test_a_budget_stops_cleanly(
    stub: Callable[..., Stub], tmp_path: Path, budget: dict[str, int], habit: str
) -> None:
    server = stub("--habit", habit)
    texts = [f"keyword: w{i}" for i in range(60)]
    done, runs = 0, 0
    while True:
        runs += 1
        try:
            _, usage = read(tmp_path, server.settings(in_flight=2, **budget), *texts)
        except BudgetSpent:
            assert server.requests > done
            done = server.requests
            continue
        break
    assert usage.questions == 60
    assert runs > 2
    assert server.requests == 60


def test_in_a_notebook_too(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub()

    async def cell() -> list[dict[str, Any]]:
        return read(tmp_path, server.settings(), "keyword: one")[0]

    assert asyncio.run(cell())[0]["why"] == ["one"]


def test_wrong_servers_are_named_at_once(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--key", "sk-right")
    with pytest.raises(ServerProblem, match="refuses the key"):
        read(tmp_path, server.settings(api_key="sk-wrong"), "good")
    with pytest.raises(ServerProblem, match="has no model 'other'"):
        read(tmp_path, server.settings(api_key="sk-right", model="other"), "good")
    with pytest.raises(ServerProblem, match="nothing answers"):
        read(tmp_path, server.settings(base_urls="http://127.0.0.1:9/v1"), "good")
    assert server.requests == 0


def test_no_living_server_for_too_long(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--latency", 0.3)
    settings = server.settings(patience_s=1, in_flight=2)

    async def ask() -> None:
        asked = LanguageModelExtractor(Reader(settings, tmp_path), RulesExtractor()).task
        question = asked.question({"text": "good"})
        assert question is not None
        chat = ChatClient(settings, Usage())
        try:
            await chat.ask(asked, question.messages())
            server.kill()
            with pytest.raises(
                ServerProblem, match="no language model server has answered for 1 s"
            ):
                await chat.ask(asked, question.messages())
        finally:
            await chat.close()

    asyncio.run(ask())


def test_a_spent_quota_ends_a_reading(stub: Callable[..., Stub], tmp_path: Path) -> None:
    """It is said as "too many requests" is, and never passes."""
    server = stub("--habit", "quota")
    with pytest.raises(ServerProblem, match=r"429: You exceeded your current quota.*kept"):
        read(tmp_path, server.settings(patience_s=0.5, in_flight=1), "keyword: one")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
     ("soon", None), (None, None), ("nan", 0.0), ("Fri, 31 Dec 99999 23:59:59 GMT", None),
     (f"Fri, 31 Dec {'9' * 20} 23:59:59 GMT", None)],
)  # fmt: skip
def test_retry_after_is_read(said: str | None, seconds: float | None) -> None:
    headers = {} if said is None else {"Retry-After": said}
    assert retry_after_s(httpx.Response(429, headers=headers)) == seconds


def test_retry_after_of_a_failed_request_is_waited_for() -> None:
    from tenacity import Future, RetryCallState

    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.set_exception((client.Transient, client.Transient("x", 42.0), None))
    assert isinstance(state.outcome, Future)
    assert client._wait(state) == 42.0
