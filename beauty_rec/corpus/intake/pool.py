"""Blocks converted by worker processes, results in the order of the blocks.

The workers are plain subprocesses fed over pipes. `multiprocessing` would run the caller's main
module again in each of them (Dagster and all it imports: seconds), or fork a process that has
threads. A worker starts in a quarter of a second and ends when its pipe closes.
"""

import json
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from beauty_rec.corpus.intake.blocks import Block
from beauty_rec.corpus.intake.convert import Rules, convert_block
from beauty_rec.settings import child_environment

_ROOT = Path(__file__).parents[3]
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from beauty_rec.corpus.intake.pool import serve; serve()"
)


def convert_blocks(
    rules: Rules, blocks: Iterable[tuple[int, Block]], folder: Path, workers: int
) -> Iterator[tuple[int, Block, int, Counter[str]]]:
    """Convert numbered blocks into ``folder``; yield (number, block, rows, refusals) in order.

    The files are those of :func:`targets`. With ``workers`` = 0 all happens in this process; else
    at most 2 × ``workers`` blocks are in memory.

    Raises:
        RuntimeError: a worker died (its error is on standard error), or ran out of memory.
    """
    if workers == 0:
        for number, block in blocks:
            yield number, block, *convert_block(rules, block, *targets(folder, number))
        return
    processes = [_start(rules) for _ in range(workers)]
    free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
    for process in processes:
        free.put(process)
    try:
        with ThreadPoolExecutor(workers) as threads:
            waiting: deque[_Waiting] = deque()
            for number, block in blocks:
                answer = threads.submit(_ask, free, block, *targets(folder, number))
                waiting.append((number, block, answer))
                if len(waiting) >= 2 * workers:
                    yield _answer(waiting)
            while waiting:
                yield _answer(waiting)
    finally:
        for process in processes:
            _stop(process)


def serve() -> None:
    """Convert the blocks that come over standard input until it closes (a worker's life)."""
    import gc

    gc.disable()  # rows are trees without cycles
    rules = Rules(**json.loads(sys.stdin.buffer.readline()))
    while header := sys.stdin.buffer.readline():
        given = json.loads(header)
        data = sys.stdin.buffer.read(given["bytes"])
        oversized = [(line, head.encode("latin-1")) for line, head in given["oversized"]]
        block = Block(given["first_line"], data, 0, oversized)
        result = convert_block(rules, block, Path(given["part"]), Path(given["quarantine"]))
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


def targets(folder: Path, number: int) -> tuple[Path, Path]:
    """Return where the valid and the refused rows of a block go."""
    return folder / f"part-{number:06d}.parquet", folder / f"refused-{number:06d}.parquet"


def _start(rules: Rules) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(_ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(POLARS_MAX_THREADS="1"),
    )
    stdin, _ = _pipes(process)
    stdin.write(json.dumps(asdict(rules)).encode() + b"\n")
    stdin.flush()
    return process


def _ask(
    free: "SimpleQueue[subprocess.Popen[bytes]]", block: Block, part: Path, quarantine: Path
) -> tuple[int, Counter[str]]:
    process = free.get()
    try:
        stdin, stdout = _pipes(process)
        header = {
            "first_line": block.first_line,
            "bytes": len(block.data),
            "oversized": [(line, head.decode("latin-1")) for line, head in block.oversized],
            "part": str(part),
            "quarantine": str(quarantine),
        }
        stdin.write(json.dumps(header).encode() + b"\n")
        stdin.write(block.data)
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise BrokenPipeError
    except BrokenPipeError as error:
        code = process.wait()
        raise RuntimeError(
            f"a reading process ended with code {code} (-9: killed, most often for memory); "
            "read with fewer processes: corpus.workers=0"
        ) from error
    finally:
        free.put(process)
    rows, refused = json.loads(answer)
    return rows, Counter(refused)


_Waiting = tuple[int, Block, "Future[tuple[int, Counter[str]]]"]


def _answer(waiting: deque[_Waiting]) -> tuple[int, Block, int, Counter[str]]:
    number, block, future = waiting.popleft()
    rows, refused = future.result()
    return number, block, rows, refused


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _stop(process: subprocess.Popen[bytes]) -> None:
    close: Callable[[], None]
    for close in (pipe.close for pipe in _pipes(process)):
        try:
            close()
        except BrokenPipeError:
            continue
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
