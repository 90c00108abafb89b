"""What rules look at: the finalized Celery app, Django's settings, the Procfile and the environment. No service."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from celery import Celery

from ... import project
from ...conf import Maintenance

GREEN: Final = ("eventlet", "gevent")
_ALIASES: Final = {"processes": "prefork", "thread": "threads", "greenlet": "gevent"}


@dataclass(frozen=True)
class Line:
    """A process of the Procfile."""

    name: str
    command: str

    @property
    def words(self) -> list[str]:
        """The command's words; where its quotes do not match, what lies between blanks."""
        try:
            return shlex.split(self.command)
        except ValueError:
            return self.command.split()

    def runs(self, *names: str) -> bool:
        """Whether it starts one of these programs or subcommands."""
        return bool(set(names).intersection(self.words))

    def option(self, *spellings: str) -> str | None:
        """Return an option's value, an empty string for a bare flag, None where it is not given."""
        words = self.words
        for at, word in enumerate(words):
            name, equals, value = word.partition("=")
            if name in spellings:
                following = words[at + 1] if at + 1 < len(words) else ""
                return value if equals else "" if following.startswith("-") else following
            short = next((each for each in spellings if re.fullmatch(r"-\w", each) and word.startswith(each)), None)
            if short and not word.startswith("--"):
                return word.removeprefix(short)
        return None


@dataclass(frozen=True)
class Pool:
    """A kind of worker as the Procfile, a profile or the settings start it."""

    where: str
    pool: str
    concurrency: int | None
    queues: tuple[str, ...]
    is_planned: bool
    """Whether run_worker starts it."""


@dataclass(frozen=True)
class Facts:
    """All that rules may know. ``ours`` is settings.MAINTENANCE, ``settings`` Django's."""

    app: Celery = field(repr=False)
    settings: Any = field(repr=False)
    ours: Maintenance
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    procfile: str | None = field(default=None, repr=False)

    @property
    def conf(self) -> Any:
        """Celery's settings."""
        return self.app.conf

    def name(self, option: str) -> str:
        """Return a Celery setting's name as this project writes it."""
        return project.setting_name(self.app, option)

    def line(self, option: str, value: object) -> str:
        """Return the line that sets a Celery setting."""
        return f"{self.name(option)} = {value!r}".replace("'", '"')

    def django(self, name: str, default: Any = None) -> Any:
        """Return a setting of Django's or of another app's."""
        return getattr(self.settings, name, default)

    def has_app(self, label: str) -> bool:
        """Whether INSTALLED_APPS names an app, by itself or by its configuration."""
        return any(str(each).split(".")[0] == label for each in self.django("INSTALLED_APPS", ()))

    @cached_property
    def tasks(self) -> dict[str, Any]:
        """The project's tasks and ours, without Celery's own."""
        return {name: task for name, task in sorted(self.app.tasks.items()) if not name.startswith("celery.")}

    @cached_property
    def entries(self) -> dict[str, Mapping[str, Any]]:
        """The beat schedule's entries that are enabled."""
        resting = {name for name, extra in self.ours.schedules.items() if extra.enabled is False}
        entries = (self.conf.beat_schedule or {}).items()
        return {name: entry for name, entry in entries if isinstance(entry, Mapping) and name not in resting}

    def schedules(self, *tasks: str) -> bool:
        """Whether an enabled entry sends one of these tasks."""
        return any(entry.get("task") in tasks for entry in self.entries.values())

    @cached_property
    def brokers(self) -> list[str]:
        """Every URL of the broker."""
        given = (self.conf.broker_read_url, self.conf.broker_write_url, self.conf.broker_url)
        urls = [each for one in given for each in (one if isinstance(one, list | tuple) else str(one or "").split(";"))]
        return list(dict.fromkeys(filter(None, urls)))

    @cached_property
    def on_redis(self) -> bool:
        """Whether the broker is Redis or Valkey."""
        return project.on_redis(self.app)

    @cached_property
    def on_amqp(self) -> bool:
        """Whether the broker speaks AMQP."""
        return bool(self.brokers) and self.brokers[0].split(":")[0] in ("amqp", "amqps", "pyamqp", "librabbitmq")

    @property
    def transport(self) -> Mapping[str, Any]:
        """The broker's transport options."""
        return self.conf.broker_transport_options or {}

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """The names of the declared queues; none where the project declares none."""
        return tuple(str(getattr(queue, "name", queue)) for queue in self.conf.task_queues or ())

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The Procfile's processes; none where there is no Procfile."""
        found = (re.match(r"([\w-]+):\s*(.+)", line) for line in (self.procfile or "").splitlines())
        return tuple(Line(match[1], match[2].strip()) for match in found if match)

    @cached_property
    def workers(self) -> tuple[Pool, ...]:
        """Every kind of worker: of the Procfile, else the profiles, else the settings alone."""
        lines = [self._of_line(line) for line in self.lines if line.runs("run_worker") or _is_celery_worker(line)]
        return tuple(lines or self._of_profiles()) or (self._of_settings(),)

    def _of_line(self, line: Line) -> Pool:
        profile = self.ours.worker.profiles.get(line.option("--profile") or "")
        queues = line.option("-Q", "--queues") or ""
        return Pool(
            where=f"the Procfile's {line.name}",
            pool=_pool(line.option("-P", "--pool") or (profile and profile.pool) or self.conf.worker_pool),
            concurrency=_count(line.option("-c", "--concurrency") or (profile and profile.concurrency))
            or _count(self.conf.worker_concurrency),
            queues=tuple(filter(None, queues.split(","))) or (profile and profile.queues) or (),
            is_planned=line.runs("run_worker"),
        )

    def _of_profiles(self) -> Iterator[Pool]:
        for name, profile in self.ours.worker.profiles.items():
            pool = _pool(profile.pool or self.conf.worker_pool)
            count = _count(profile.concurrency) or _count(self.conf.worker_concurrency)
            yield Pool(f"the profile {name!r}", pool, count, profile.queues or (), is_planned=True)

    def _of_settings(self) -> Pool:
        where = self.name("worker_pool")
        return Pool(where, _pool(self.conf.worker_pool), _count(self.conf.worker_concurrency), (), is_planned=False)


def _is_celery_worker(line: Line) -> bool:
    return line.runs("celery") and line.runs("worker")


def _pool(name: Any) -> str:
    last = str(name or "prefork").partition(":")[0].rpartition(".")[2].lower()
    return _ALIASES.get(last, last)


def _count(value: Any) -> int | None:
    text = str(value or "")
    return int(text) if text.isdigit() else None
