"""The machine as read from files and variables."""

from datetime import timedelta
from pathlib import Path

import pytest

from maintenance import host


@pytest.mark.parametrize(
    ("environ", "name", "grace"),
    [
        ({"DYNO": "worker.1"}, "Heroku", 30),
        ({"RENDER": "true"}, "Render", 30),
        ({"RAILWAY_ENVIRONMENT": "production"}, "Railway", 3),
        ({"RAILWAY_ENVIRONMENT": "x", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "45"}, "Railway", 45),
        ({"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "soon"}, "Railway", 3),
        ({"DOKKU_APP_NAME": "ops"}, "Dokku", 30),
    ],
)
def test_a_hosting_platform_is_known_by_its_variables(environ: dict[str, str], name: str, grace: int) -> None:
    hosting = host.hosting(environ)
    assert hosting is not None
    assert (hosting.name, hosting.grace) == (name, timedelta(seconds=grace))


def test_a_plain_machine_is_no_hosting_platform() -> None:
    assert host.hosting({"HOME": "/home/me", "RENDERED": "1"}) is None


def cgroup(folder: Path, content: str) -> Path:
    file = folder / "cgroup"
    file.write_text(content)
    return file


def limit(root: Path, path: str, name: str, value: str) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value)


def test_the_smallest_limit_on_the_way_up_counts_on_cgroup_v2(tmp_path: Path) -> None:
    limit(tmp_path, "pod/container", "memory.max", "max\n")
    limit(tmp_path, "pod", "memory.max", "536870912\n")
    assert host.memory_limit(tmp_path, cgroup(tmp_path, "0::/pod/container\n")) == 536870912


def test_cgroup_v1_is_read_from_its_own_hierarchy(tmp_path: Path) -> None:
    limit(tmp_path, "memory/docker/abc", "memory.limit_in_bytes", "268435456\n")
    limit(tmp_path, "memory", "memory.limit_in_bytes", "9223372036854771712\n")
    lines = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n"
    assert host.memory_limit(tmp_path, cgroup(tmp_path, lines)) == 268435456


def test_no_limit_is_none(tmp_path: Path) -> None:
    limit(tmp_path, "memory", "memory.limit_in_bytes", "9223372036854771712\n")
    assert host.memory_limit(tmp_path, cgroup(tmp_path, "4:memory:/\n0::/\n")) is None
    assert host.memory_limit(tmp_path, tmp_path / "absent") is None


def test_a_private_namespace_is_read_at_its_root(tmp_path: Path) -> None:
    limit(tmp_path, "", "memory.max", "1000000\n")
    assert host.memory_limit(tmp_path, cgroup(tmp_path, "0::/../../elsewhere\n")) == 1000000


def test_a_module_that_cannot_be_imported_says_why() -> None:
    assert host.why_not_importable("json") is None
    assert host.why_not_importable("no_such_pool") == "No module named 'no_such_pool'"
