"""manage.py run_beat"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.celery import app
from tests.conftest import Outcome
from tests.servers import free_port

Run = Callable[..., Outcome]
SCHEDULER = "maintenance.beat:Scheduler"


def test_a_dry_run_prints_the_plan_and_passes_celerys_options_on(run: Run) -> None:
    assert run("run_beat", "-l", "debug", "--dry-run", "--", "--max-interval", "5") == (
        "app          tests  (tests.celery beside the settings)\n"
        f"scheduler    {SCHEDULER}  (django_celery_beat is installed)\n"
        "loglevel     DEBUG  (-l)\n"
        f"$ {sys.executable} -m celery -A tests beat -l DEBUG -S {SCHEDULER} "
        "--enable-remote-control --max-interval 5\n",
        "",
        0,
    )


def test_the_plan_as_json(run: Run) -> None:
    out, err, code = run("run_beat", "--dry-run", "--json")
    assert (list(json.loads(out).items()), err, code) == (
        [
            ("schema_version", 1),
            ("app", "tests"),
            ("scheduler", SCHEDULER),
            ("loglevel", "INFO"),
            (
                "argv",
                [
                    *(sys.executable, "-m", "celery", "-A", "tests", "beat", "-l", "INFO"),
                    *("-S", SCHEDULER, "--enable-remote-control"),
                ],
            ),
            ("env", {"MAINTENANCE_RUN_DIR": str(Path("var/run").resolve())}),
            (
                "reasons",
                {
                    "app": "tests.celery beside the settings",
                    "scheduler": "django_celery_beat is installed",
                    "loglevel": "default",
                },
            ),
        ],
        "",
        0,
    )


def test_wrong_flags_are_one_line(run: Run) -> None:
    assert run("run_beat", "-l", "loud", "--dry-run") == (
        "",
        "CommandError: There is no log level 'loud'. Choose from DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL.\n",
        2,
    )
    assert run("run_beat", "--broker-wait", "soon") == (
        "",
        "CommandError: argument --broker-wait: 'soon' is not a duration such as 30s, 5m, 2h or 7d.\n",
        2,
    )


def test_a_broker_that_is_not_there(run: Run) -> None:
    port, before = free_port(), app.conf.broker_url
    app.conf.update(broker_url=f"redis://:s3cret@127.0.0.1:{port}/0")
    try:
        out, err, code = run("run_beat", "--broker-wait", "0")
    finally:
        app.conf.update(broker_url=before)
    assert (out, code) == ("", 69)
    assert err.splitlines()[-1] == (
        f"CommandError: The broker at redis://:**@127.0.0.1:{port}/0 does not answer: "
        f"Error 111 connecting to 127.0.0.1:{port}. Connection refused. "
        "Start it (`manage.py run_broker` for the embedded one), or set CELERY_BROKER_URL or REDIS_URL."
    )
