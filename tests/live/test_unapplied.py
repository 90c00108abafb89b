"""What beat says at its start of schedules that nobody applied."""

from tests.processes import Project

SAID = (
    r"WARNING maintenance\.beat: The tables are not what is declared \(\d+ to create\)\. "
    r"Run `manage\.py sync_schedules`"
)


def test_beat_warns_and_goes_on(project: Project) -> None:
    beat = project.start("run_beat")
    beat.wait_for_line(SAID, seconds=120)
    beat.wait_for_line("Leading as", seconds=60)
    assert beat.terminate(seconds=60) == 0, beat.output


def test_beat_says_nothing_when_they_are_applied(project: Project) -> None:
    project.manage("sync_schedules")
    beat = project.start("run_beat")
    beat.wait_for_line("Leading as", seconds=120)
    assert beat.terminate(seconds=60) == 0, beat.output
    assert "not what is declared" not in beat.output
