"""run_worker against `celery -A opsproject worker`: time to "ready" and memory of the process tree, interleaved.

Targets: time at most 1.25x, memory at most 1.05x. Prints the ratios of the medians; never fails on them.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from tests.processes import Process, Project
from tests.servers import Valkey

OPTIONS = ["--concurrency", "2", "--loglevel", "INFO"]
CONTENDERS = {
    "run_worker": [sys.executable, "manage.py", "run_worker", "-v", "0", *OPTIONS],
    "celery": [sys.executable, "-m", "celery", "-A", "opsproject", "worker", *OPTIONS],
}


def memory_kib(root: int) -> int:
    """Return the proportional set size of a process and all its descendants in KiB."""
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        todo += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return total


def measure(project: Project, args: list[str]) -> tuple[float, int]:
    """Start one worker; return the seconds to its ready line and its tree's memory in KiB a second later."""
    started = time.monotonic()
    worker: Process = project.spawn(args)
    worker.wait_for_line(r"ready\.")
    seconds = time.monotonic() - started
    time.sleep(1)
    kib = memory_kib(worker.pid)
    worker.terminate()
    return seconds, kib


def main() -> None:
    """Measure the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder) / "valkey")
        valkey.start()
        project = Project(Path(folder) / "project", REDIS_URL=valkey.url)
        project.manage("migrate", "--no-input", "-v", "0")
        taken: dict[str, list[tuple[float, int]]] = {name: [] for name in CONTENDERS}
        try:
            for pair in range(pairs):
                order = list(CONTENDERS) if pair % 2 else list(reversed(CONTENDERS))
                for name in order:
                    taken[name].append(measure(project, CONTENDERS[name]))
        finally:
            project.close()
            valkey.stop()
    seconds = {name: statistics.median(second for second, _ in runs) for name, runs in taken.items()}
    kib = {name: statistics.median(size for _, size in runs) for name, runs in taken.items()}
    print(f"{describe()}; {pairs} pairs, medians")
    for name in CONTENDERS:
        print(f"{name:<11} ready after {seconds[name]:.2f} s, tree {kib[name] / 1024:.1f} MiB")
    print(f"ratio       time {seconds['run_worker'] / seconds['celery']:.3f} (target 1.25), ", end="")
    print(f"memory {kib['run_worker'] / kib['celery']:.3f} (target 1.05)")


if __name__ == "__main__":
    main()
