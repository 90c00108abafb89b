"""The plan of Flower: open to this machine only, or to those who sign in."""

from pathlib import Path
from typing import Any

import pytest

from maintenance.errors import CannotWrite, MaintenanceError
from maintenance.health import flower
from maintenance.health.flower import CredentialsInArgv, FlowerPlan, NoCredentials, OpenToTheWorld

KEPT = (
    "--persistent=True",
    "--db=/srv/var/flower",
    "--state_save_interval=60000",
    "--max_tasks=10000",
    "--purge_offline_workers=300",
)
SECRET = {"FLOWER_BASIC_AUTH": "ann:s3cret"}


def plan(**given: Any) -> FlowerPlan:
    facts: dict[str, Any] = {
        "python": "/py",
        "app": "proj",
        "address": "127.0.0.1",
        "port": 5555,
        "folder": Path("/srv/var"),
    }
    return flower.plan(**facts | {"basic_auth": False, "environ": {}} | given)


def test_the_whole_plan() -> None:
    argv = ("/py", "-m", "celery", "-A", "proj", "flower", "--address=127.0.0.1", "--port=5555", *KEPT)
    expected = FlowerPlan("proj", "127.0.0.1", 5555, False, Path("/srv/var/flower"), "", argv)
    assert plan() == expected


@pytest.mark.parametrize("prefix", ["flower", "/flower/"])
def test_below_a_path_of_a_proxy_and_with_other_bounds(prefix: str) -> None:
    found = plan(url_prefix=prefix, max_tasks=5)
    assert found.argv[-3:] == ("--max_tasks=5", "--purge_offline_workers=300", "--url_prefix=flower")
    assert flower.explain(found)[0] == "Flower of proj at http://127.0.0.1:5555/flower/ for everybody on this machine"


def test_the_folder_is_made_or_named(tmp_path: Path) -> None:
    flower.command(plan(folder=tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite) as refused:
        flower.command(plan(folder=tmp_path / "file" / "b"))
    assert refused.value.exit_code == 73


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_password(address: str) -> None:
    assert not plan(address=address).signs_in


@pytest.mark.parametrize("address", ["::", "", "0", "192.168.1.5", "128.0.0.1", "example.com", "localhost.evil"])
def test_every_other_address_does(address: str) -> None:
    with pytest.raises(OpenToTheWorld) as refused:
        plan(address=address, environ=SECRET)
    assert refused.value.exit_code == 4
    assert plan(address=address, environ=SECRET, basic_auth=True).signs_in


def test_credentials_travel_in_the_environment_and_are_never_shown() -> None:
    found = plan(address="::", environ=SECRET | {"OTHER": "x"}, basic_auth=True)
    assert found.secrets == SECRET
    assert flower.explain(found) == [
        "Flower of proj at http://[::]:5555/ for who knows a password in FLOWER_BASIC_AUTH",
        f"$ /py -m celery -A proj flower --address=:: --port=5555 {' '.join(KEPT)}",
    ]
    assert "s3cret" not in repr(found) + " ".join(found.argv)


@pytest.mark.parametrize("text", ["", "ann", "ann:", ":s3cret", "ann:s3cret,bob", "ann:s3cret,"])
def test_credentials_that_would_let_nobody_in_are_refused(text: str) -> None:
    with pytest.raises(NoCredentials) as refused:
        plan(basic_auth=True, environ={"FLOWER_BASIC_AUTH": text})
    assert refused.value.exit_code == 2
    assert "s3cret" not in str(refused.value)


def test_several_may_sign_in() -> None:
    assert plan(basic_auth=True, environ={"FLOWER_BASIC_AUTH": "ann:a,bob:b:c"}).signs_in


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(CredentialsInArgv) as refused:
        plan(basic_auth="ann:s3cret", environ=SECRET)
    error: MaintenanceError = refused.value
    assert (error.exit_code, "s3cret" in str(error)) == (2, False)
