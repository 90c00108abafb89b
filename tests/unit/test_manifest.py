"""Manifests: what is written is what is read, and nothing else is believed."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from maintenance.backups import names
from maintenance.backups.errors import ManifestBroken
from maintenance.backups.manifest import Manifest
from tests.unit.test_retention import backup

WHOLE = json.loads(backup(1).to_json())
NAME = backup(1).name


def broken(**changes: object) -> str:
    with pytest.raises(ManifestBroken) as caught:
        Manifest.from_json(json.dumps({**WHOLE, **changes}).encode(), name=NAME)
    assert caught.value.exit_code == 5
    return str(caught.value.facts["reason"])


def test_it_survives_its_file() -> None:
    assert Manifest.from_json(backup(1).to_json(), name=NAME) == backup(1)
    assert next(iter(WHOLE)) == "schema_version"


def test_every_field_survives_its_file() -> None:
    id_ = "20260101T000100Z-00000001"
    whole = Manifest(
        id=id_,
        alias="default",
        engine="mysql",
        file=names.data_name(id_, "default", "mysql", "age"),
        host="web1",
        project="ops",
        started=datetime(2026, 1, 1, 0, 1, tzinfo=UTC),
        finished=datetime(2026, 1, 1, 0, 2, 0, 5, tzinfo=UTC),
        stages=(("dump", 1.5), ("store", 0.25)),
        plain_bytes=2,
        plain_sha256="1" * 64,
        stored_bytes=3,
        stored_sha256="f" * 64,
        encryption="age",
        recipients=("age1x",),
        tables=None,
        excluded=("django_session",),
        migrations={"auth": ("0012_x",), "two": ("0001_a", "0001_b")},
        versions={"server": "10.11"},
        tag='before "upgrade" ü',
        warnings=("a is MyISAM",),
    )
    assert Manifest.from_json(whole.to_json(), name=whole.name) == whole


def test_one_of_version_1_is_read() -> None:
    since_2 = (
        "kind",
        "host",
        "project",
        "stages",
        "encryption",
        "recipients",
        "excluded",
        "migrations",
        "tag",
        "warnings",
    )
    old = {key: value for key, value in WHOLE.items() if key not in since_2} | {"schema_version": 1}
    assert Manifest.from_json(json.dumps(old).encode(), name=NAME) == backup(1)
    with pytest.raises(ManifestBroken):
        Manifest.from_json(json.dumps({**old, "schema_version": 2}).encode(), name=NAME)


def test_a_newer_format_is_refused() -> None:
    assert broken(schema_version=3) == "ValueError: its format is 3, and this version knows 2"
    assert broken(schema_version=True) == "ValueError: its format is True, and this version knows 2"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "20260101T000200Z-00000002"}, "ValueError: it is that of backup '20260101T000200Z-00000002'"),
        ({"file": "../../etc/passwd"}, "ValueError: its file '../../etc/passwd' is another backup's"),
        (
            {"file": WHOLE["file"].replace("default", "../default")},
            "ValueError: its file '20260101T000100Z-00000001.../default.sqlite3.zst' is another backup's",
        ),
        ({"alias": "default_archive"}, f"ValueError: its file {WHOLE['file']!r} is another backup's"),
        ({"stored_bytes": "1"}, "TypeError: stored_bytes is not int"),
        ({"stored_bytes": True}, "TypeError: stored_bytes is not int"),
        ({"tables": []}, "TypeError: tables is not dict"),
        ({"started": "2026-01-01T00:01:00"}, "ValueError: the time '2026-01-01T00:01:00' has no offset"),
        ({"started": 5}, "TypeError: started is not str"),
        ({"stored_bytes": -1}, "TypeError: stored_bytes is not int"),
        ({"plain_sha256": "0" * 63}, "ValueError: plain_sha256 is no SHA-256"),
        ({"tables": {"a": "1"}}, "TypeError: a is not int"),
        ({"versions": {"python": 3}}, "TypeError: python is not str"),
        ({"migrations": {"auth": "0001"}}, "TypeError: auth is not list"),
        ({"recipients": [1]}, "TypeError: 0 is not str"),
        ({"stages": [["dump"]]}, "ValueError: not enough values to unpack (expected 2, got 1)"),
        ({"engine": "mysql"}, f"ValueError: its file {WHOLE['file']!r} is another backup's"),
        ({"encryption": "age"}, f"ValueError: its file {WHOLE['file']!r} is another backup's"),
        ({"kind": "media"}, "ValueError: its engine 'sqlite' makes no backups of kind 'media'"),
    ],
)
def test_an_edited_one_is_refused(change: dict[str, object], reason: str) -> None:
    assert broken(**change) == reason


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", backup(1).to_json()[:-10]])
def test_a_truncated_or_foreign_one_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestBroken):
        Manifest.from_json(content, name=NAME)


@pytest.mark.parametrize("encryption", ["", "age"])
@pytest.mark.parametrize(
    ("engine", "kind"),
    [("sqlite", "database"), ("postgresql", "database"), ("mysql", "database"), ("files", "media")],
)
@pytest.mark.parametrize(
    "alias",
    ["default", "default_archive", "a.b", "a/b", "../a", "%2F", "ü €", "x.sqlite3.zst", "x.tar.zst.age", "a\nb", "."],
)
def test_a_file_name_gives_the_exact_alias_back(alias: str, engine: str, kind: str, encryption: str) -> None:
    name = names.data_name("20260101T000100Z-00000001", alias, engine, encryption)
    assert "/" not in name
    found = names.owner(name)
    assert found == ("20260101T000100Z-00000001", alias, engine, encryption)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "name", ["db.sqlite3.zst", "20260101T000100Z-00000001.manifest.json", "20260101.a.sqlite3.zst"]
)
def test_a_foreign_file_has_no_owner(name: str) -> None:
    assert names.owner(name) is None


def test_ids_are_in_utc_and_unlike_each_other() -> None:
    started = datetime(2026, 1, 1, 1, 30, 7, tzinfo=timezone(timedelta(hours=2)))
    ids = {names.new_id(started) for _ in range(50)}
    assert len(ids) == 50
    assert {id_[:17] for id_ in ids} == {"20251231T233007Z-"}
    assert {names.started_second(id_) for id_ in ids} == {datetime(2025, 12, 31, 23, 30, 7, tzinfo=UTC)}
