"""A language model server of one local causal model: the OpenAI API over HTTP, a process.

Its answers hold the schema by construction: each text is a word of the last message, each choice
one of the schema's, the one whose first token the model finds likeliest after the prompt.
"""

import argparse
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[a-z]{4,20}")


class Model:
    """The causal model and its tokenizer; one question at a time."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self._one = threading.Lock()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a chat completion."""
        import torch

        prompt = self.tokenizer.apply_chat_template(
            body["messages"], tokenize=False, add_generation_prompt=True
        )
        ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"]
        with self._one, torch.inference_mode():
            scores = self.model(ids, logits_to_keep=1).logits[0, -1]
        said = body["messages"][-1]["content"].lower()
        words = sorted(set(_WORD.findall(said))) or ["none"]
        first = [self.tokenizer.encode(word)[0] for word in words]
        likeliest = sorted(zip(words, first, strict=True), key=lambda w: -float(scores[w[1]]))
        ranked = [word for word, _ in likeliest]
        schema = body["response_format"]["json_schema"]["schema"]
        content = json.dumps(self._fill(schema, schema, ranked, scores))
        usage = {"prompt_tokens": ids.shape[1], "completion_tokens": len(content) // 4}
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {"choices": [choice], "usage": usage}

    def _fill(self, schema: dict[str, Any], root: dict[str, Any], words: list[str], s: Any) -> Any:
        if "$ref" in schema:
            return self._fill(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, words, s)
        if "enum" in schema:
            return max(schema["enum"], key=lambda c: float(s[self.tokenizer.encode(str(c))[0]]))
        if "const" in schema:
            return schema["const"]
        if "anyOf" in schema:
            return self._fill(schema["anyOf"][0], root, words, s)
        if schema["type"] == "object":
            return {n: self._fill(p, root, words, s) for n, p in schema["properties"].items()}
        if schema["type"] == "array":
            count = max(2, schema.get("minItems", 1))
            return [self._fill(schema["items"], root, words[i:] or words, s) for i in range(count)]
        return words[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    model = Model(options.folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": options.name}]})

        def do_POST(self) -> None:
            self._send(
                model.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            )

        def _send(self, answer: dict[str, Any]) -> None:
            payload = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
