"""Servers that want to be asked otherwise, answer otherwise, or stand behind a proxy."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from beauty_rec.cli.doctor import language_model_findings
from beauty_rec.corpus.download import DownloadError, download_file
from beauty_rec.language.dialect import Completion, Dialect, quoted, read_completion
from beauty_rec.language.endpoints import is_loopback
from beauty_rec.language.probe import look
from beauty_rec.settings import LanguageSettings, Settings
from beauty_rec_tests.language.stub import Stub
from beauty_rec_tests.language.test_reader import read

PAYLOAD = {"model": "m", "max_tokens": 5, "temperature": 0, "seed": 1}


@pytest.mark.parametrize(
    "habit",
    ["new-fields", "fence", "think", "think-end", "byte-order", "parts", "reasoning"],
)
def test_a_server_with_habits_is_read(
    stub: Callable[..., Stub], tmp_path: Path, habit: str
) -> None:
    server = stub("--habit", habit)
    found, usage = read(tmp_path, server.settings(in_flight=2), "keyword: one", "keyword: two")
    assert sorted(row["why"][0] for row in found) == ["one", "two"]
    assert usage.quarantined == 0
    said = asyncio.run(look(server.settings(), server.url, ask=True))
    assert said.problem is None


@pytest.mark.parametrize(
    "usage",
    [
        '"many"',
        "[1]",
        '{"prompt_tokens": 1e999}',
        '{"prompt_tokens": "x"}',
        "null",
        f'{{"completion_tokens": {10**30}}}',
    ],
)
def test_an_answer_is_good_whatever_it_says_of_its_cost(usage: str) -> None:
    said = f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {usage}}}'
    assert read_completion(httpx.Response(200, text=said)) == Completion("x", False, 0, 0)


@pytest.mark.parametrize(
    "said",
    [
        "<html>Log in</html>", "", "null", "[]", "5", "[" * 100_000, '{"a":' * 100_000,
        'data: {"choices":[{"delta":{"content":"x"}}]}', '{"choices": []}', '{"choices": {}}',
        '{"choices": [{"message": null}]}', '{"choices": [{"text": "x"}]}', '{"error": {}}',
    ],
)  # fmt: skip
def test_what_is_no_completion_is_called_so(said: str) -> None:
    answer = httpx.Response(200, text=said)
    with pytest.raises(ValueError, match="no chat completion"):
        read_completion(answer)
    assert len(quoted(answer, LanguageSettings())) <= 200


def test_a_server_that_leads_elsewhere_says_where() -> None:
    answer = httpx.Response(307, headers={"Location": "https://u:hunter2@elsewhere/v1\x1b[31m"})
    assert quoted(answer, LanguageSettings()) == "it leads on to https://u:***@elsewhere/v1 [31m"


def test_a_body_that_is_not_encoded_as_its_head_says(
    stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub("--habit", "encoded")
    _, usage = read(tmp_path, server.settings(attempts=1), "keyword: one")
    assert usage.quarantined == 1


def test_refused_fields_are_left_out_from_then_on() -> None:
    dialect = Dialect()
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    assert dialect.learn(httpx.Response(400, json={"error": {"message": words}}), PAYLOAD)
    sent = dialect.request(PAYLOAD)
    assert sent == {"model": "m", "max_completion_tokens": 5, "temperature": 0, "seed": 1}
    detail = [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    assert dialect.learn(httpx.Response(422, json={"detail": detail}), sent)
    sent = dialect.request(PAYLOAD)
    assert sent == {"model": "m", "max_completion_tokens": 5, "temperature": 0}
    for status, said in ((400, "max_tokens is too large: 5"), (500, words), (400, words)):
        assert not dialect.learn(httpx.Response(status, text=said), sent)


def test_the_servers_own_words_are_quoted_without_the_key(
    stub: Callable[..., Stub], tmp_path: Path
) -> None:
    server = stub("--habit", "refusing", "--key", "sk-secret")
    settings = Settings(data_dir=tmp_path, llm=server.settings(api_key="sk-secret").model_dump())
    (finding,) = language_model_findings(settings)
    assert finding.verdict == "fail"
    assert '(status 400: "[31mthe grammar *** is bad")' in finding.text
    assert finding.text.isprintable()


def test_a_model_that_only_thinks_is_called_so(stub: Callable[..., Stub], tmp_path: Path) -> None:
    server = stub("--habit", "thinking-long")
    found = asyncio.run(look(server.settings(), server.url, ask=True))
    assert found.problem is not None
    assert "comes to no answer within" in found.problem


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8000/v1", True), ("http://127.9.9.9/v1", True),
        ("http://localhost:1/v1", True), ("http://LOCALHOST./v1", True),
        ("http://[::1]:8000/v1", True), ("http://[::ffff:127.0.0.1]/v1", True),
        ("http://a.localhost/v1", True), ("http://0.0.0.0:8000/v1", True),
        ("http://localhost.example.com/v1", False), ("http://10.0.0.1/v1", False),
        ("http://example.com/127.0.0.1", False), ("http://127.0.0.1.example.com", False),
    ],
)  # fmt: skip
def test_which_servers_are_on_this_machine(url: str, is_here: bool) -> None:
    assert is_loopback(url) is is_here


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "ftp://u:pw@x"])
def test_a_server_on_this_machine_is_asked_directly(
    stub: Callable[..., Stub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = stub()
    found, _ = read(tmp_path, server.settings(), "keyword: one")
    assert found[0]["why"] == ["one"]


@pytest.mark.parametrize("proxy", ["socks5://u:secret@127.0.0.1:9", "ftp://u:secret@127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    llm = {"backend": "openai", "base_urls": ["http://192.0.2.1/v1"], "model": "m"}
    (finding,) = language_model_findings(
        Settings(data_dir=tmp_path, llm=LanguageSettings.model_validate(llm).model_dump())
    )
    assert finding.verdict == "fail"
    assert "the proxy of the environment cannot be used" in finding.text
    assert "\n" not in finding.text
    assert "secret" not in finding.text
    with pytest.raises(DownloadError, match="the proxy of the environment cannot be used"):
        download_file("http://192.0.2.1/a.gz", tmp_path / "a.gz")
