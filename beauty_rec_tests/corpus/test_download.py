import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from beauty_rec.corpus.download import DownloadError, download_category, download_file, file_urls

BODY = gzip.compress(bytes(range(256)) * 4000, mtime=0)
HALF = len(BODY) // 2


class Server(ThreadingHTTPServer):
    """Serves BODY; `break_offs` answers stop half way; requests are noted."""

    daemon_threads = True
    break_offs = 0
    ranges = True
    body = BODY
    status = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        body = self.server.body
        if self.server.status or "missing" in self.path:
            self.send_error(self.server.status or 404)
            return
        start = 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.break_offs:
            self.server.break_offs -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, tmp_path, attempts=5):
    return download_file(f"{server.url}/a.jsonl.gz", tmp_path / "a.jsonl.gz", attempts, 0)


def test_a_whole_file_with_its_hash_beside_it(server, tmp_path):
    done = get(server, tmp_path)
    digest = hashlib.sha256(BODY).hexdigest()
    assert done.path.read_bytes() == BODY
    assert (done.size, done.sha256, done.fetched) == (len(BODY), digest, len(BODY))
    assert (tmp_path / "a.jsonl.gz.sha256").read_text() == f"{digest}  a.jsonl.gz\n"
    assert get(server, tmp_path).fetched == 0
    assert len(server.asked) == 1
    done.path.write_bytes(b"damaged since")
    assert get(server, tmp_path).path.read_bytes() == BODY


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.break_offs = 2
    done = get(server, tmp_path)
    assert done.path.read_bytes() == BODY
    assert done.fetched == len(BODY)
    assert server.asked[:2] == [None, f"bytes={HALF}-"]


def test_what_an_earlier_run_left_is_resumed(server, tmp_path):
    (tmp_path / "a.jsonl.gz.part").write_bytes(BODY[:100])
    assert get(server, tmp_path).fetched == len(BODY) - 100
    (tmp_path / "a.jsonl.gz").rename(tmp_path / "a.jsonl.gz.part")
    assert get(server, tmp_path).fetched == 0  # whole already: the server answers 416
    (tmp_path / "a.jsonl.gz").unlink()
    (tmp_path / "a.jsonl.gz.part").write_bytes(BODY + b"more than there is")
    assert get(server, tmp_path).path.read_bytes() == BODY


def test_a_server_that_ignores_ranges_starts_over(server, tmp_path):
    server.ranges, server.break_offs = False, 1
    done = get(server, tmp_path)
    assert done.path.read_bytes() == BODY
    assert done.fetched == HALF + len(BODY)


def test_errors_name_the_address_and_the_remedy(server, tmp_path):
    with pytest.raises(DownloadError, match=r"missing.* answered 404.*category name"):
        download_file(f"{server.url}/missing.jsonl.gz", tmp_path / "m.jsonl.gz")
    server.status = 503
    with pytest.raises(DownloadError, match=r"503.*later"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())
    server.status, server.break_offs = None, 99
    with pytest.raises(DownloadError, match="Run the command again to go on from"):
        get(server, tmp_path, attempts=1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl.gz.part"]
    with pytest.raises(DownloadError, match="failed 2 times"):
        download_file("http://127.0.0.1:9/a.gz", tmp_path / "b.gz", 2, 0)
    with pytest.raises(DownloadError, match="not an address"):
        download_file("htp://x", tmp_path / "b.gz", 2, 0)


def test_data_that_is_no_gzip_is_deleted(server, tmp_path):
    server.body = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="no sound gzip file"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_both_files_of_a_category(server, tmp_path):
    done = download_category("Gift_Cards", tmp_path, server.url)
    assert done["items"].path.name == "meta_Gift_Cards.jsonl.gz"
    assert file_urls("All_Beauty")["reviews"].endswith(
        "/amazon_2023/raw/review_categories/All_Beauty.jsonl.gz"
    )
    with pytest.raises(ValueError, match="no category name"):
        file_urls("../etc")
