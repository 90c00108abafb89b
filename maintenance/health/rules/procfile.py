"""Rules of the Procfile: what a host starts. Without one they have nothing to say."""

import re
from collections.abc import Iterator

from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts, Line

_BACKGROUND = r"&(?!&)"


@rule("procfile-no-release", WARNING, "procfile")
def procfile_no_release(facts: Facts) -> Iterator[Trouble]:
    """The new code runs on the old tables until somebody remembers to migrate.

    A release process runs once before the new processes start. Source: Heroku, Release phase; Dokku, Deployment tasks.
    """
    if facts.lines and not any("migrate" in line.command for line in facts.lines):
        line = "release: python manage.py migrate --no-input && python manage.py sync_schedules"
        yield Trouble("The Procfile does not migrate.", f"Add `{line}`.")


@rule("procfile-no-sync", WARNING, "procfile")
def procfile_no_sync(facts: Facts) -> Iterator[Trouble]:
    """Schedules that the settings gained or lost stay as they were.

    Our scheduler reads tables and writes no entries; sync_schedules brings them up to date, at each release.
    Source: docs/architecture.md, "Own what you create".
    """
    ours = str(facts.conf.beat_scheduler).startswith("maintenance.beat") or _beats(facts, "run_beat")
    if facts.lines and ours and facts.entries and not any("sync_schedules" in line.command for line in facts.lines):
        cure = "Add `&& python manage.py sync_schedules` to its release line."
        yield Trouble("The Procfile never syncs schedules.", cure)


@rule("procfile-two-beats", ERROR, "procfile")
def procfile_two_beats(facts: Facts) -> Iterator[Trouble]:
    """Every schedule is sent twice.

    Celery's beat knows of no other. run_beat has a lease, so that a second one only stands by.
    Source: Celery, Periodic Tasks, "Starting the Scheduler".
    """
    beats = [line for line in facts.lines if line.runs("celery") and (line.runs("beat") or _embeds_beat(line))]
    if len(beats) > 1 or (beats and _beats(facts, "run_beat")):
        names = " and ".join(line.name for line in beats + _beats(facts, "run_beat"))
        yield Trouble(f"The Procfile starts a beat in {names}.", "Keep one: `beat: python manage.py run_beat`.")


@rule("procfile-beat-in-worker", ERROR, "procfile")
def procfile_beat_in_worker(facts: Facts) -> Iterator[Trouble]:
    """With two of these workers every schedule is sent twice, and a worker that restarts stops them all.

    -B is for development. Source: Celery, Periodic Tasks, "Starting the Scheduler".
    """
    for line in facts.lines:
        if _embeds_beat(line):
            cure = "Take -B away, and add `beat: python manage.py run_beat`."
            yield Trouble(f"The Procfile's {line.name} runs beat inside a worker.", cure)


@rule("procfile-beat-missing", ERROR, "procfile")
def procfile_beat_missing(facts: Facts) -> Iterator[Trouble]:
    """Nothing is ever sent by a schedule: no backup, no cleaning.

    The settings declare schedules, and no process sends them. Source: Celery, Periodic Tasks.
    """
    starts = [line for line in facts.lines if line.runs("beat", "run_beat") or _embeds_beat(line)]
    if facts.lines and facts.entries and not starts:
        yield Trouble("The Procfile starts no beat.", "Add `beat: python manage.py run_beat`.")


@rule("procfile-worker-missing", ERROR, "procfile")
def procfile_worker_missing(facts: Facts) -> Iterator[Trouble]:
    """Tasks wait for ever.

    No process of the Procfile does them. Source: Celery, Workers Guide.
    """
    if facts.lines and not any(line.runs("worker", "run_worker") for line in facts.lines):
        yield Trouble("The Procfile starts no worker.", "Add `worker: python manage.py run_worker`.")


@rule("procfile-web-runs-others", ERROR, "procfile")
def procfile_web_runs_others(facts: Facts) -> Iterator[Trouble]:
    """Nobody restarts it when it dies, and it shares the web's memory and its end.

    A process manager watches the one process that a line ends in, not what was sent to the background.
    Source: The Twelve-Factor App, VIII.
    """
    for line in facts.lines:
        if re.search(_BACKGROUND, re.sub(r"\d>&\d|&>", "", line.command)) and line.runs(
            "celery", "run_worker", "run_beat"
        ):
            yield Trouble(
                f"The Procfile's {line.name} starts others in the background.", "Give each a line of its own."
            )


@rule("procfile-runserver", ERROR, "procfile", deploy=True)
def procfile_runserver(facts: Facts) -> Iterator[Trouble]:
    """It serves pages slowly, one crash from silence, and has had no security audit.

    Django's development server says so itself. Source: Django, runserver.
    """
    for line in facts.lines:
        if line.runs("runserver"):
            cure = f"Make it `{line.name}: gunicorn PROJECT.wsgi --bind 0.0.0.0:$PORT`."
            yield Trouble(f"The Procfile's {line.name} is runserver.", cure)


@rule("procfile-fixed-port", WARNING, "procfile", deploy=True)
def procfile_fixed_port(facts: Facts) -> Iterator[Trouble]:
    """The host waits for a port that nobody listens on, and ends the deploy.

    Hosts tell the port in $PORT, which only gunicorn reads by itself.
    Source: Heroku, The Procfile; Dokku, Port management.
    """
    for line in facts.lines:
        if line.runs("uvicorn", "daphne", "hypercorn", "runserver") and "PORT" not in line.command:
            yield Trouble(f"The Procfile's {line.name} does not listen on $PORT.", "Bind it to 0.0.0.0:$PORT.")


def _embeds_beat(line: Line) -> bool:
    return (
        line.runs("worker") and line.runs("celery") and any(line.option(each) is not None for each in ("-B", "--beat"))
    )


def _beats(facts: Facts, command: str) -> list[Line]:
    return [line for line in facts.lines if line.runs(command)]
