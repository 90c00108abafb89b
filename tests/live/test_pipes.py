"""Programs that stream through us: their output, their input, their failures, and their end."""

import contextlib
import os
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from maintenance import pipes
from maintenance.pipes import ProgramFailed, ProgramMissing
from maintenance.process import Command
from tests.processes import wait_for

MEGABYTE = 1 << 20


def python(code: str, **more: object) -> Command:
    return Command((sys.executable, "-c", textwrap.dedent(code)), **more)  # type: ignore[arg-type]


def silent() -> None:
    """Wait without a word."""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_all_output_arrives_in_constant_memory() -> None:
    write = python("import sys\nfor n in range(64): sys.stdout.buffer.write(bytes([n]) * (1 << 20))")
    with pipes.running(write, waiting=silent) as program:
        sizes = [len(chunk) for chunk in program.chunks()]
    assert (sum(sizes), max(sizes) <= MEGABYTE) == (64 * MEGABYTE, True)


def test_a_status_other_than_0_is_an_error_at_the_end_of_the_output() -> None:
    fail = python("import sys; print('half'); print('out of paper', file=sys.stderr); sys.exit(3)")
    found: list[bytes] = []

    def read() -> None:
        with pipes.running(fail, waiting=silent) as program:
            found.extend(program.chunks())

    with pytest.raises(ProgramFailed) as caught:
        read()
    assert b"".join(found) == b"half\n"
    assert str(caught.value) == f"{sys.executable} ended with status 3: out of paper"


def test_output_that_nobody_reads_does_not_hide_the_status() -> None:
    fail = python("import sys; print('x' * 10_000_000); sys.exit(3)")
    with pytest.raises(ProgramFailed, match="status 3: it did not say why"), pipes.running(fail, waiting=silent):
        pass


def test_what_it_says_is_bounded_and_has_no_secrets() -> None:
    talk = python(
        "import os, sys\nfor n in range(5000): print(n, os.environ['PASS'], 'file-word', file=sys.stderr)\nsys.exit(1)",
        secrets={"PASS": "hunter2"},
        hidden=("file-word",),
    )
    with pytest.raises(ProgramFailed) as caught, pipes.running(talk, waiting=silent):
        pass
    said = str(caught.value.facts["said"])
    assert len(said) <= 8192
    assert said.endswith("4999 ** **")
    assert "hunter2" not in repr(caught.value.facts)
    assert "hunter2" not in repr(talk)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramMissing) as caught, pipes.running(Command(("/nowhere/tool",)), waiting=silent):
        pass
    assert str(caught.value) == (
        "The program '/nowhere/tool' cannot be started: No such file or directory. Install it, or put it on PATH."
    )
    assert caught.value.exit_code == 69


def test_it_and_its_children_are_killed_when_the_block_fails() -> None:
    family = python(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    pids = []
    with contextlib.suppress(KeyError), pipes.running(family, waiting=silent) as program:
        pids = [program.pid, int(next(program.chunks()))]
        raise KeyError
    wait_for(lambda: all(gone(pid) for pid in pids), about="the end of both")


def test_whoever_waits_is_called_and_may_end_it() -> None:
    def enough() -> None:
        raise TimeoutError

    for read in (True, False):
        with contextlib.ExitStack() as stack:
            slow = stack.enter_context(pipes.running(python("import time; time.sleep(600)"), waiting=enough))
            with pytest.raises(TimeoutError):
                list(slow.chunks()) if read else slow.finish()
            with contextlib.suppress(TimeoutError):
                stack.close()
        assert gone(slow.pid)


def test_input_is_fed_and_ended() -> None:
    count = python("import sys; data = sys.stdin.buffer.read(); print(len(data))")
    with pipes.running(count, feed=True, waiting=silent) as program:
        for _ in range(20):
            program.write(b"x" * MEGABYTE)
        program.finish()
    assert threading.active_count() < 20


@pytest.mark.parametrize(("status", "reason"), [(0, "it read only a part of its input"), (4, "it did not say why")])
def test_a_program_that_leaves_before_its_input_ends_has_failed(status: int, reason: str) -> None:
    leave = python(f"import sys; sys.stdin.buffer.read(10); sys.exit({status})")

    def feed() -> None:
        with pipes.running(leave, feed=True, waiting=silent) as program:
            while True:
                program.write(b"x" * MEGABYTE)

    with pytest.raises(ProgramFailed, match=f"status {status}: {reason}"):
        feed()


def test_it_dies_with_us(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    parent = python(
        f"""
        import os, signal, sys
        from maintenance import pipes
        from maintenance.process import Command
        with pipes.running(Command((sys.executable, "-c", "import time; time.sleep(600)")), waiting=lambda: None) as it:
            open({str(pid_file)!r}, "w").write(str(it.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    with pytest.raises(ProgramFailed, match="status -9"), pipes.running(parent, waiting=silent):
        pass
    wait_for(lambda: gone(int(pid_file.read_text())), about="the end of the grandchild")
