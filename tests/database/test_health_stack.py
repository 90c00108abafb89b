"""The checks of the stack against what is there in the tests: a database, a cache, no worker."""

from typing import Any

import pytest
from celery import Celery
from django.db.migrations.recorder import MigrationRecorder

from maintenance.health import stack
from maintenance.health.runner import CouldNotAsk, Unhealthy


def celery(**conf: Any) -> Celery:
    app = Celery("alone", broker="memory://", set_as_current=False, **conf)
    app.finalize()
    for name in [name for name in app.tasks if name.endswith(".debug_task")]:
        app.tasks.unregister(name)  # shared by an app that another test imported
    return app


def test_the_names_tell_aliases_apart() -> None:
    checks = stack.checks(celery(), databases=["default", "other"], caches=["default", "pages"], wait=1)
    assert [check.name for check in checks] == [
        "broker", "database", "database other", "migrations", "cache", "cache pages", "worker", "round trip",
    ]  # fmt: skip
    assert "memory" not in repr(checks)


@pytest.mark.django_db
def test_the_database_answers_and_migrations_are_counted() -> None:
    assert stack.Database("default").run() == "SQLite answers."
    assert stack.Migrations().run() == "All are applied."
    MigrationRecorder.Migration.objects.filter(app="django_celery_results").exclude(name="0001_initial").delete()
    with pytest.raises(Unhealthy) as ill:
        stack.Migrations().run()
    assert str(ill.value).startswith("Not applied: django_celery_results.0002_")
    assert str(ill.value).endswith(" more.")


def test_a_cache_that_keeps_and_caches_that_do_not(settings: Any) -> None:
    backend = "django.core.cache.backends"
    settings.CACHES = {
        "default": {"BACKEND": f"{backend}.locmem.LocMemCache"},
        "none": {"BACKEND": f"{backend}.dummy.DummyCache"},
    }
    assert stack.Cache("default").run() == "It gives back what it was given."
    assert stack.Cache("none").run() == "It keeps nothing, as configured (DummyCache)."


def test_a_cache_that_forgets_is_ill(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.get", lambda self, key: None)
    with pytest.raises(Unhealthy, match="It does not give back what it was given"):
        stack.Cache("default").run()


def test_the_broker_is_named_without_its_password() -> None:
    assert stack.Broker(celery()).run() == "memory:/// answers."
    down = Celery("down", broker="redis://:s3cret@127.0.0.1:1/0", set_as_current=False)
    with pytest.raises(Unhealthy, match=r"^redis://:\*\*@127.0.0.1:1/0 does not answer: Error 111 ") as ill:
        stack.Broker(down).run()
    assert "s3cret" not in str(ill.value)


def test_without_a_debug_task_or_results_it_could_not_ask() -> None:
    with pytest.raises(CouldNotAsk, match="the project has no debug_task"):
        stack.RoundTrip(celery(), 0.1).run()
    app = celery()

    @app.task(name="alone.celery.debug_task", shared=False)
    def debug_task() -> None:
        """Stand in for the guide's."""

    with pytest.raises(CouldNotAsk, match="there is no result backend"):
        stack.RoundTrip(app, 0.1).run()


def test_without_a_worker_nobody_answers() -> None:
    app = celery(backend="cache+memory://")

    @app.task(name="alone.celery.debug_task", shared=False, ignore_result=True)
    def debug_task() -> None:
        """Stand in for the guide's."""

    with pytest.raises(Unhealthy, match=r"^alone.celery.debug_task was not done within 0.1s\.$"):
        stack.RoundTrip(app, 0.1).run()
    with pytest.raises(Unhealthy, match=r"^None answers within 0.1s\.$"):
        stack.Worker(app, 0.1).run()
