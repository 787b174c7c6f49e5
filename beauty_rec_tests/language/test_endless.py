"""Answers that never end: they are given up in time, and fill no memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from beauty_rec.language import endpoints
from beauty_rec.language.endpoints import answer_of
from beauty_rec.language.probe import look
from beauty_rec.settings import LanguageSettings

Speak = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def pour(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


async def asked(speak: Speak, ask: Callable[[str], Awaitable[None]]) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await speak(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        await ask(f"http://{host}:{port}/v1")
    finally:
        server.close()


@pytest.mark.parametrize(
    ("speak", "error"), [(drip, httpx.ReadTimeout), (pour, httpx.RequestError)]
)
def test_an_answer_without_an_end_is_given_up(
    speak: Speak, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST_BYTES", 1 << 20)

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            with pytest.raises(error):
                await answer_of(client, "GET", url, 0.5 if speak is drip else 10)

    began = time.monotonic()
    asyncio.run(asked(speak, ask))
    assert time.monotonic() - began < 5


def test_a_list_of_models_without_an_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MOST_BYTES", 1 << 20)

    async def ask(url: str) -> None:
        found = await look(LanguageSettings(model="m"), url, ask=False)
        assert found.kind == "address"
        assert "an endless answer" in (found.problem or "")

    asyncio.run(asked(pour, ask))
