"""The checks of the services and workers against what is there in the tests: a database, a cache, no worker."""

from typing import Any

import pytest
from celery import Celery
from django.db.migrations.recorder import MigrationRecorder
from health_check.exceptions import ServiceUnavailable

from maintenance.health import checks
from maintenance.health.base import Check, CouldNotAsk
from maintenance.health.checks import services


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    services._migrated.forget()


def told(check: Check) -> str:
    """Return the sentences of a check that is well."""
    return " ".join(each for each in check.ask() if isinstance(each, str))


def celery(**conf: Any) -> Celery:
    app = Celery("alone", broker="memory://", set_as_current=False, **conf)
    app.finalize()
    for name in [name for name in app.tasks if name.endswith(".debug_task")]:
        app.tasks.unregister(name)  # shared by an app that another test imported
    return app


def test_keys_and_names_tell_aliases_apart() -> None:
    assert [checks.Database().key, checks.Database("other").key, checks.Cache("pages").name] == [
        "database", "database:other", "cache pages",
    ]  # fmt: skip
    assert repr(checks.Broker(celery())) == "broker", "as django-health-check shows it, without the app"


@pytest.mark.django_db
def test_the_database_answers_and_migrations_are_counted() -> None:
    assert told(checks.Database("default")) == "SQLite answers."
    assert told(checks.Migrations()) == "All are applied."
    MigrationRecorder.Migration.objects.filter(app="django_celery_results").exclude(name="0001_initial").delete()
    assert told(checks.Migrations()) == "All are applied.", "for a minute"
    services._migrated.forget()
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as ill:
            told(checks.Migrations())
        assert str(ill.value.message).startswith("Not applied: django_celery_results.0002_")
        assert str(ill.value.message).endswith(" more.")


def test_a_cache_that_keeps_and_caches_that_do_not(settings: Any) -> None:
    backend = "django.core.cache.backends"
    settings.CACHES = {
        "default": {"BACKEND": f"{backend}.locmem.LocMemCache"},
        "none": {"BACKEND": f"{backend}.dummy.DummyCache"},
        "gone": {"BACKEND": f"{backend}.redis.RedisCache", "LOCATION": "redis://:s3cret@127.0.0.1:1/0"},
    }
    assert told(checks.Cache("default")) == "It gives back what it was given."
    assert told(checks.Cache("none")) == "It keeps nothing, as configured (DummyCache)."
    with pytest.raises(ServiceUnavailable) as ill:
        told(checks.Cache("gone"))
    assert "127.0.0.1:1" in str(ill.value)
    assert "s3cret" not in str(ill.value)


def test_a_cache_that_forgets_is_ill(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.get", lambda self, key: None)
    with pytest.raises(ServiceUnavailable, match="It does not give back what it was given"):
        told(checks.Cache("default"))


def test_the_broker_is_named_without_its_password() -> None:
    assert told(checks.Broker(celery())) == "memory:/// answers."
    down = Celery("down", broker="redis://:s3cret@127.0.0.1:1/0", set_as_current=False)
    with pytest.raises(ServiceUnavailable) as ill:
        told(checks.Broker(down))
    assert str(ill.value.message).startswith("redis://:**@127.0.0.1:1/0 does not answer: Error 111 ")
    assert "s3cret" not in str(ill.value)


def test_without_a_debug_task_or_results_it_could_not_ask() -> None:
    with pytest.raises(CouldNotAsk, match="the project has no debug_task"):
        told(checks.RoundTrip(celery(), 0.1))
    app = celery()

    @app.task(name="alone.celery.debug_task", shared=False)
    def debug_task() -> None:
        """Stand in for the guide's."""

    with pytest.raises(CouldNotAsk, match="there is no result backend"):
        told(checks.RoundTrip(app, 0.1))


def test_without_a_worker_nobody_answers() -> None:
    app = celery(backend="cache+memory://")

    @app.task(name="alone.celery.debug_task", shared=False, ignore_result=True)
    def debug_task() -> None:
        """Stand in for the guide's."""

    with pytest.raises(ServiceUnavailable, match=r"alone.celery.debug_task was not done within 0.1s\.$"):
        told(checks.RoundTrip(app, 0.1))
    with pytest.raises(ServiceUnavailable, match=r"None answers within 0.1s\.$"):
        told(checks.Workers(app, 0.1))
    with pytest.raises(ServiceUnavailable, match=r"No worker that answers within 0.1s consumes 'celery'\.$"):
        told(checks.Queues(app, 0.1))
