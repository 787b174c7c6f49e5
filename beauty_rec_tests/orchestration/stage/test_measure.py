"""What a step costs: by the clock, by the processor, in memory."""

import subprocess
import sys
import time

from beauty_rec.orchestration.stage.measure import measure

WORK = "import time\nwhile time.process_time() < {}: pass"


def test_waiting_counts_by_the_clock_alone_and_children_count() -> None:
    with measure() as cost:
        time.sleep(0.3)
    assert cost["seconds"] >= 0.3
    assert cost["processor_seconds"] < 0.2
    with measure() as cost:
        subprocess.run([sys.executable, "-c", WORK.format(0.4)], check=True)
    assert 0.4 <= cost["processor_seconds"] <= cost["seconds"] + 0.1
    assert cost["peak_memory_mb"] > 10
