"""100 one-second tasks on `run_worker --pool eventlet -c 100` against bare `celery worker -P eventlet -c 100`.

Target: at most 1.2x the time. Timed from sending the first task to the last result, worker already up; interleaved.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from tests.processes import Project, wait_for
from tests.servers import Valkey

OPTIONS = ["--concurrency", "100", "--loglevel", "WARNING", "-P", "eventlet"]
CONTENDERS = {
    "run_worker": [sys.executable, "manage.py", "run_worker", "-v", "0", *OPTIONS],
    "celery": [sys.executable, "-m", "celery", "-A", "opsproject", "worker", *OPTIONS],
}
TASKS = 100
SEND = f"from tests.live.app.tasks import early\nfor i in range({TASKS}): early.delay(str(i), 1)"
PING = "from opsproject.celery import app\nprint(len(app.control.ping(timeout=0.5)))"


def measure(project: Project, trace: Path, args: list[str]) -> float:
    """Start one worker, send the tasks, and return the seconds from the first start to the last finish."""
    trace.unlink(missing_ok=True)
    worker = project.spawn(args)
    wait_for(lambda: project.python(PING).strip() == "1", seconds=60, about="a worker that answers")
    project.python(SEND)
    wait_for(lambda: trace.exists() and trace.read_text().count("finish") == TASKS, seconds=120, about="all tasks")
    moments = [float(line.split()[3]) for line in trace.read_text().splitlines()]
    worker.terminate()
    return max(moments) - min(moments)


def main() -> None:
    """Measure the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder) / "valkey")
        valkey.start()
        trace = Path(folder) / "trace"
        project = Project(
            Path(folder) / "project", settings="tests.live.settings", REDIS_URL=valkey.url, TRACE=str(trace)
        )
        project.manage("migrate", "--no-input", "-v", "0")
        taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        try:
            for pair in range(pairs):
                for name in list(CONTENDERS) if pair % 2 else list(reversed(CONTENDERS)):
                    started = time.monotonic()
                    taken[name].append(measure(project, trace, CONTENDERS[name]))
                    print(f"  {name}: {taken[name][-1]:.2f} s (whole run {time.monotonic() - started:.1f} s)")
        finally:
            project.close()
            valkey.stop()
    seconds = {name: statistics.median(runs) for name, runs in taken.items()}
    print(f"{describe()}; {TASKS} one-second tasks, {pairs} pairs, medians")
    for name in CONTENDERS:
        print(f"{name:<11} {seconds[name]:.2f} s")
    print(f"ratio       {seconds['run_worker'] / seconds['celery']:.3f} (target 1.2)")


if __name__ == "__main__":
    main()
