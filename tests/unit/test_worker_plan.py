"""The worker plan, compared whole."""

from dataclasses import replace
from datetime import timedelta

import pytest

from maintenance.conf import Profile
from maintenance.errors import MaintenanceError
from maintenance.host import Hosting
from maintenance.worker.facts import Asked, Machine, Project
from maintenance.worker.launch import document, explain
from maintenance.worker.plan import (
    PoolNotInstalled,
    PoolNotOnWindows,
    QueueNotDeclared,
    UnknownPool,
    UnknownProfile,
    WorkerPlan,
    plan,
    profile_named,
    without_mingle,
)
from maintenance.worker.sizing import BadConcurrency

LINUX = Machine(platform="linux", python="/venv/bin/python", cpus=4, cpu_reason="4 CPUs available")
MAC = replace(LINUX, platform="darwin")
WINDOWS = replace(LINUX, platform="win32", python="python.exe")
PROJECT = Project(app="proj", queues=("default", "heavy_tasks"), creates_missing_queues=False)
GIB = 1 << 30


def test_the_whole_plan_on_linux() -> None:
    assert plan(Asked(), machine=LINUX, project=PROJECT) == WorkerPlan(
        pool="prefork",
        concurrency=4,
        queues=("default", "heavy_tasks"),
        grace_seconds=30,
        window_seconds=25,
        max_memory_per_child_kib=None,
        argv=(
            *("/venv/bin/python", "-m", "celery", "-A", "proj", "worker", "--pool", "processes", "--concurrency", "4"),
            *("--loglevel", "INFO", "--include", "maintenance.worker.runtime", "worker_soft_shutdown_timeout=25"),
        ),
        env={"REMAP_SIGTERM": "SIGQUIT", "CELERY_SKIP_CHECKS": "1"},
        reasons={
            "pool": "Linux: processes use every CPU and honour every limit",
            "concurrency": "4 CPUs available (the smallest limit)",
            "queues": "all declared queues",
            "grace_seconds": "no known host: the usual time between SIGTERM and SIGKILL",
            "max_memory_per_child_kib": "no limit found",
        },
        warnings=(),
    )


def test_the_whole_plan_with_every_flag() -> None:
    asked = Asked(
        pool="threads",
        concurrency="8",
        queues=("heavy_tasks",),
        hostname="heavy@%h",
        loglevel="debug",
        max_memory=GIB,
        grace=timedelta(seconds=60),
        burst=True,
        max_wait=timedelta(seconds=5),
        celery_args=("-O", "fair"),
    )
    project = replace(PROJECT, soft_time_limit=1500, time_limit=1800, max_tasks_per_child=1000)
    assert plan(asked, machine=LINUX, project=project) == WorkerPlan(
        pool="threads",
        concurrency=8,
        queues=("heavy_tasks",),
        grace_seconds=60,
        window_seconds=55,
        max_memory_per_child_kib=None,
        argv=(
            *("/venv/bin/python", "-m", "celery", "-A", "proj", "worker", "--pool", "threads", "--concurrency", "8"),
            *("--loglevel", "debug", "--include", "maintenance.worker.runtime", "--queues", "heavy_tasks"),
            *("--hostname", "heavy@%h", "-O", "fair"),
        ),
        env={
            "REMAP_SIGTERM": "",
            "CELERY_SKIP_CHECKS": "1",
            "MAINTENANCE_WORKER_WINDOW": "55",
            "MAINTENANCE_WORKER_BURST": "5",
        },
        reasons={
            "pool": "asked for by --pool",
            "concurrency": "asked for by -c",
            "queues": "asked for by -Q",
            "grace_seconds": "--grace",
            "max_memory_per_child_kib": "the pool threads has no children to replace",
        },
        warnings=(
            "The pool threads ignores soft time limits (25m).",
            "The pool threads ignores time limits (30m).",
            "The pool threads ignores max-tasks-per-child (1000).",
            "The pool threads ignores --max-memory (1.1 GB).",
        ),
    )


@pytest.mark.parametrize(
    ("machine", "unusable", "pool", "why"),
    [
        (MAC, {}, "prefork", "macOS: processes, started by spawn because fork is unsafe there"),
        (WINDOWS, {}, "eventlet", "Windows: prefork does not work there, and eventlet is installed"),
        (
            WINDOWS,
            {"eventlet": "no module"},
            "threads",
            "Windows: prefork does not work there, eventlet cannot be used (no module)",
        ),
        (
            WINDOWS,
            {"eventlet": "no module", "threads": "no futures"},
            "solo",
            "Windows: prefork does not work there, eventlet (no module) and threads (no futures) cannot be used",
        ),
        (replace(LINUX, platform="freebsd14"), {}, "prefork", "freebsd14: a POSIX system runs processes"),
    ],
)
def test_the_pool_follows_the_platform(machine: Machine, unusable: dict[str, str], pool: str, why: str) -> None:
    chosen = plan(Asked(), machine=replace(machine, unusable_pools=unusable), project=PROJECT)
    assert (chosen.pool, chosen.reasons["pool"]) == (pool, why)
    assert ("--pool-start-method" in chosen.argv) is (machine is MAC)


@pytest.mark.parametrize(
    ("asked", "machine", "error", "message"),
    [
        (
            Asked(pool="greenlets"),
            LINUX,
            UnknownPool,
            "'greenlets' is not a pool. Choose one of auto, prefork, threads, solo, eventlet, gevent.",
        ),
        (
            Asked(pool="gevent"),
            replace(LINUX, unusable_pools={"gevent": "No module named 'gevent'"}),
            PoolNotInstalled,
            "The pool 'gevent' cannot be used: No module named 'gevent'. "
            "Run `pip install gevent`, or choose another --pool.",
        ),
        (
            Asked(pool="prefork"),
            WINDOWS,
            PoolNotOnWindows,
            "The pool 'prefork' does not work on Windows. Use --pool auto, threads, eventlet or solo.",
        ),
        (
            Asked(concurrency="0"),
            LINUX,
            BadConcurrency,
            "Concurrency '0' is not a whole number from 1 up. Pass -c auto, or a number such as -c 4.",
        ),
        (
            Asked(concurrency="two"),
            LINUX,
            BadConcurrency,
            "Concurrency 'two' is not a whole number from 1 up. Pass -c auto, or a number such as -c 4.",
        ),
        (
            Asked(queues=("default", "haevy")),
            LINUX,
            QueueNotDeclared,
            "Queue 'haevy' is not declared. Declared: default, heavy_tasks. "
            "Correct the name, or add the queue to CELERY_TASK_QUEUES.",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    asked: Asked, machine: Machine, error: type[MaintenanceError], message: str
) -> None:
    with pytest.raises(error) as caught:
        plan(asked, machine=machine, project=PROJECT)
    assert (str(caught.value), caught.value.exit_code) == (message, 2)


def test_an_undeclared_queue_is_fine_where_celery_creates_missing_ones() -> None:
    project = replace(PROJECT, creates_missing_queues=True)
    assert plan(Asked(queues=("new",)), machine=LINUX, project=project).queues == ("new",)


@pytest.mark.parametrize(
    ("machine", "project", "concurrency", "reason"),
    [
        (LINUX, replace(PROJECT, database_connections=3), 3, "3 database connections"),
        (LINUX, replace(PROJECT, database_connections=5), 4, "4 CPUs available"),
        (
            replace(LINUX, memory_limit=512_000_000),
            PROJECT,
            2,
            "memory 512.0 MB, 150.0 MB for the parent and each child",
        ),
        (
            replace(LINUX, memory_limit=100_000_000),
            PROJECT,
            1,
            "memory 100.0 MB, 150.0 MB for the parent and each child",
        ),
        (replace(LINUX, cpus=1, cpu_reason="1 CPU"), PROJECT, 1, "1 CPU"),
    ],
)
def test_automatic_concurrency_is_the_smallest_limit(
    machine: Machine, project: Project, concurrency: int, reason: str
) -> None:
    chosen = plan(Asked(), machine=machine, project=project)
    assert chosen.concurrency == concurrency
    assert chosen.reasons["concurrency"].startswith(f"{reason} (the smallest limit")


@pytest.mark.parametrize(("pool", "expected"), [("threads", 16), ("eventlet", 100), ("gevent", 100), ("solo", 1)])
def test_automatic_concurrency_of_the_other_pools(pool: str, expected: int) -> None:
    assert plan(Asked(pool=pool), machine=LINUX, project=PROJECT).concurrency == expected


def test_the_database_budget_binds_green_pools_too() -> None:
    project = replace(PROJECT, database_connections=20)
    assert plan(Asked(pool="eventlet"), machine=LINUX, project=project).concurrency == 20


def test_a_memory_limit_is_shared_among_the_children() -> None:
    machine = replace(LINUX, memory_limit=950_000_000)
    chosen = plan(Asked(), machine=machine, project=PROJECT)
    assert (chosen.concurrency, chosen.max_memory_per_child_kib) == (4, 200_000_000 // 1024)
    assert chosen.argv[chosen.argv.index("--max-memory-per-child") + 1] == "195312"
    assert chosen.reasons["max_memory_per_child_kib"] == "950.0 MB (the cgroup) less the parent, shared by 4"


@pytest.mark.parametrize(
    ("grace", "window"), [(30, 25), (300, 295), (11, 6), (10, 5), (9, 4.5), (4, 2), (3, 1.5), (1, 0.5)]
)
def test_the_window_leaves_time_to_leave(grace: float, window: float) -> None:
    chosen = plan(Asked(grace=timedelta(seconds=grace)), machine=LINUX, project=PROJECT)
    assert (chosen.grace_seconds, chosen.window_seconds) == (grace, window)
    assert chosen.argv[-1] == f"worker_soft_shutdown_timeout={window:g}"


def test_the_grace_is_the_flags_then_the_profiles_then_the_settings_then_the_hosts() -> None:
    machine = replace(LINUX, hosting=Hosting("Railway", timedelta(seconds=3), "Railway kills 3s after SIGTERM"))
    project = replace(PROJECT, grace=timedelta(seconds=50))
    profile = Profile(grace=timedelta(seconds=40))
    graces = [
        plan(Asked(grace=timedelta(seconds=20)), machine=machine, project=project, profile=profile),
        plan(Asked(), machine=machine, project=project, profile=profile),
        plan(Asked(), machine=machine, project=project),
        plan(Asked(), machine=machine, project=PROJECT),
    ]
    assert [(chosen.grace_seconds, chosen.reasons["grace_seconds"]) for chosen in graces] == [
        (20, "--grace"),
        (40, "the profile"),
        (50, 'MAINTENANCE["WORKER"]["GRACE"]'),
        (3, "Railway kills 3s after SIGTERM"),
    ]


def test_a_flag_wins_over_the_profile_and_the_profile_over_the_settings() -> None:
    project = replace(PROJECT, pool="solo", concurrency=7)
    profile = Profile(queues=("heavy_tasks",), pool="threads", concurrency=2, hostname="heavy@%h")
    by_profile = plan(Asked(), machine=LINUX, project=project, profile=profile)
    by_flags = plan(
        Asked(pool="prefork", concurrency="3", queues=("default",), hostname="me"),
        machine=LINUX,
        project=project,
        profile=profile,
    )
    by_settings = plan(Asked(pool="auto"), machine=LINUX, project=project)
    plans = (by_profile, by_flags, by_settings)
    assert [(chosen.pool, chosen.concurrency, chosen.queues) for chosen in plans] == [
        ("threads", 2, ("heavy_tasks",)),
        ("prefork", 3, ("default",)),
        ("prefork", 7, ("default", "heavy_tasks")),
    ]
    assert [chosen.argv[chosen.argv.index("--hostname") + 1] for chosen in plans[:2]] == ["heavy@%h", "me"]
    assert plan(Asked(), machine=LINUX, project=project).reasons["pool"] == "asked for by CELERY_WORKER_POOL"


def test_auto_wins_over_what_follows_it() -> None:
    project = replace(PROJECT, concurrency=7)
    assert plan(Asked(concurrency="auto"), machine=LINUX, project=project).concurrency == 4
    assert plan(Asked(), machine=LINUX, project=replace(project, concurrency="auto")).concurrency == 4


def test_an_own_soft_timeout_after_the_dashes_is_left_alone() -> None:
    asked = Asked(celery_args=("worker_soft_shutdown_timeout=99",))
    assert plan(asked, machine=LINUX, project=PROJECT).argv[-1] == "worker_soft_shutdown_timeout=99"


def test_a_worker_that_is_alone_asks_nobody_for_revokes() -> None:
    chosen = plan(Asked(), machine=LINUX, project=PROJECT)
    assert without_mingle(chosen) == replace(chosen, argv=(*chosen.argv, "--without-mingle"))


def test_solo_says_that_it_ignores_a_concurrency() -> None:
    chosen = plan(Asked(pool="solo", concurrency="4"), machine=LINUX, project=PROJECT)
    assert (chosen.concurrency, chosen.warnings) == (1, ("The pool solo ignores -c 4.",))


def test_gevent_honours_the_hard_limit_only() -> None:
    project = replace(PROJECT, soft_time_limit=60, time_limit=90)
    chosen = plan(Asked(pool="gevent"), machine=LINUX, project=project)
    assert chosen.warnings == ("The pool gevent ignores soft time limits (1m).",)


def test_an_unknown_profile_names_the_declared_ones() -> None:
    with pytest.raises(UnknownProfile) as caught:
        profile_named("big", {"heavy": Profile(), "light": Profile()})
    assert str(caught.value) == (
        'Profile \'big\' is not declared. Declared: heavy, light. Add it to MAINTENANCE["WORKER"]["PROFILES"].'
    )
    assert profile_named(None, {}) == Profile()


def test_the_plan_explains_itself_in_a_few_lines() -> None:
    chosen = plan(Asked(pool="solo", concurrency="4"), machine=LINUX, project=PROJECT)
    assert explain(chosen) == [
        "pool         solo  (asked for by --pool)",
        "concurrency  1  (solo runs one task at a time)",
        "queues       default, heavy_tasks  (all declared queues)",
        "memory       not limited  (no limit found)",
        "grace        30s, 25s of it for running tasks  (no known host: the usual time between SIGTERM and SIGKILL)",
        "warning      The pool solo ignores -c 4.",
        f"$ {' '.join(chosen.argv)}",
    ]


def test_the_document_has_the_documented_keys() -> None:
    chosen = plan(Asked(), machine=LINUX, project=PROJECT)
    assert list(document(chosen)) == [
        *("pool", "concurrency", "queues", "grace_seconds", "max_memory_per_child_kib", "argv", "env", "reasons"),
        "warnings",
    ]
