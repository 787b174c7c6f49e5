"""A stand-in for a language model server: fixed latency, a batch limit, faults on demand.

A process of its own, so that tests can kill it. What it was asked stands in a log file: a line a
request, with the hash of the last message and what became of it. Its answer depends on the review
alone: a keyword made of the review's hash, or of the word after "keyword:" in it.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

HABITS = {
    "fence": "Here it is:\n```json\n{}\n```",
    "think": "<think>\nA {{review}}.\n</think>\n\n{}",
    "think-end": "Okay, a review.\n</think>\n```\n{}\n```",
    "byte-order": "\ufeff {}\n",
}
FAULTS = ("broken", "truncated", "slow", "error", "busy")
_SAID = re.compile(r"keyword: ?(\w+)")


class Stub:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.slots = asyncio.Semaphore(options.slots)
        self.log = Path(options.log).open("a", buffering=1)  # noqa: SIM115
        self.asked: Counter[str] = Counter()
        for line in Path(options.log).read_text().splitlines():
            self.asked[line.split()[1]] += 1
        self.busy_s = 0.0
        self.first = self.last = 0.0

    async def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
        options = self.options
        if body["model"] != options.model:
            return 404, {"error": {"message": f"no model {body['model']}"}}, {}
        if options.habit == "new-fields":
            for name, instead in (("max_tokens", "max_completion_tokens"), ("temperature", "")):
                if name in body:
                    said = f"Unsupported parameter: '{name}' is not supported. Use '{instead}'."
                    return 400, {"error": {"message": said, "param": name}}, {}
        if options.habit == "quota":
            return 429, {"error": {"message": "You exceeded your current quota"}}, {}
        if options.habit == "refusing":
            return 400, {"error": {"message": f"\x1b[31mthe grammar {options.key} is bad"}}, {}
        content = body["messages"][-1]["content"]
        review = content.partition("\nAn earlier answer")[0]
        digest = hashlib.sha256(review.encode()).hexdigest()[:16]
        number = int(digest, 16)
        self.asked[digest] += 1
        self.first = self.first or time.monotonic()
        fault = ""
        if self.asked[digest] <= options.fault_times and number % 1000 < options.faults * 1000:
            fault = FAULTS[number // 1000 % len(FAULTS)]
        if options.always and options.always in review:
            fault = "broken"
        self.log.write(f"asked {digest} {fault or 'good'}\n")
        if fault == "error":
            return 500, {"error": {"message": "engine hiccup"}}, {}
        if fault == "busy":
            return 429, {"error": {"message": "too many"}}, {"Retry-After": "0.2"}
        async with self.slots:
            began = time.monotonic()
            await asyncio.sleep(options.latency * (20 if fault == "slow" else 1))
            self.last = time.monotonic()
            self.busy_s += self.last - began
        answer, finish = self.answer(body, review, digest), "stop"
        if fault == "broken":
            answer = 'Sure! Here is the JSON: {"who": ['
        if fault == "truncated":
            answer, finish = answer[: len(answer) // 2], "length"
        usage = {"prompt_tokens": len(str(body["messages"])) // 4, "completion_tokens": 40}
        if options.habit == "uncounted":
            usage = {}
        message: dict[str, Any] = {"content": answer}
        if options.habit == "parts":
            message = {"content": [{"type": "text", "text": answer}]}
        elif options.habit == "reasoning":
            message = {"content": None, "reasoning_content": answer}
        elif options.habit == "thinking-long":
            message, finish = {"content": "", "reasoning": "Okay, " * 50}, "length"
        elif options.habit in HABITS:
            message = {"content": HABITS[options.habit].format(answer)}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        more = {"Content-Encoding": "gzip"} if options.habit == "encoded" else {}
        return 200, {"choices": [choice], "usage": usage}, more

    def answer(self, body: dict[str, Any], review: str, digest: str) -> str:
        if self.options.plain:
            return "Hello! How can I help you?"
        schema = body["response_format"]["json_schema"]["schema"]
        said = _SAID.search(review)
        word = said[1].lower() if said else f"k{digest}"
        return json.dumps(_fill(schema, schema, word))


def _fill(schema: dict[str, Any], root: dict[str, Any], word: str) -> Any:
    """Return a value of ``schema``: its first choice, each list with ``word``, as often as need."""
    if "$ref" in schema:
        return _fill(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, word)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _fill(schema["anyOf"][0], root, word)
    if schema["type"] == "object":
        return {name: _fill(part, root, word) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        count = max(1, schema.get("minItems", 1))
        return [_fill(schema["items"], root, f"{word}{n or ''}") for n in range(count)]
    return word


async def serve(options: argparse.Namespace) -> None:
    stub = Stub(options)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin1").split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, answer, more = await route(lines[0].split()[1], headers, body)
                payload = json.dumps(answer).encode()
                said = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(
                    f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n"
                    f"{said}Content-Length: {len(payload)}\r\n\r\n".encode()
                    + payload
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def route(
        path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        if path == "/stats":
            wall = stub.last - stub.first
            share = stub.busy_s / (options.slots * wall) if wall else 0.0
            return 200, {"capacity_used": share, "wall_s": wall}, {}
        if path == "/health":
            return 200, {}, {}
        if not path.startswith("/v1/"):
            return 404, {"detail": "Not Found"}, {}
        if options.key and headers.get("authorization") != f"Bearer {options.key}":
            return 401, {"error": {"message": "Incorrect API key provided: sk-…"}}, {}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": options.model}]}, {}
        return await stub.complete(json.loads(body))

    server = await asyncio.start_server(handle, "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="stub")
    parser.add_argument("--key", default=os.environ.get("VLLM_API_KEY", ""))
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--faults", type=float, default=0.0, help="share of reviews")
    parser.add_argument("--fault-times", type=int, default=1, help="asks of one review that fail")
    parser.add_argument("--always", default="", help="reviews with it never get a good answer")
    parser.add_argument("--plain", action="store_true", help="ignore response_format")
    parser.add_argument("--habit", default="", help="how answers are wrapped, or asked for")
    options, _ = parser.parse_known_args(arguments)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main(sys.argv[1:])
