"""Results: what is kept, and what says so."""

from datetime import UTC, datetime, timedelta

import pytest

from maintenance import results
from maintenance.errors import BadSetting
from maintenance.results import Keeping

WEEK, DAY, HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
NOW = datetime(2026, 1, 8, tzinfo=UTC)


def test_the_flag_wins_then_the_setting_then_celery_then_a_week() -> None:
    assert results.keeping(flag=HOUR, setting=DAY, expires=WEEK) == Keeping(HOUR, "--older-than")
    assert results.keeping(flag=None, setting=DAY, expires=WEEK) == Keeping(DAY, 'MAINTENANCE["RESULTS"]["KEEP_FOR"]')
    assert results.keeping(flag=None, setting=None, expires=3600) == Keeping(HOUR, "CELERY_RESULT_EXPIRES")
    assert results.keeping(flag=None, setting=None, expires=HOUR) == Keeping(HOUR, "CELERY_RESULT_EXPIRES")
    assert results.keeping(flag=None, setting=None) == Keeping(WEEK, "the default")


@pytest.mark.parametrize("expires", [None, 0, 0.0, timedelta(0)])
def test_nought_in_celerys_setting_is_for_ever(expires: object) -> None:
    keeping = results.keeping(flag=None, setting=None, expires=expires)
    assert keeping == Keeping(None, "CELERY_RESULT_EXPIRES")
    assert keeping.before(NOW) is None


def test_nought_in_ours_is_for_ever_but_as_a_flag_it_means_now() -> None:
    assert results.keeping(flag=None, setting=timedelta(0), expires=DAY).before(NOW) is None
    assert results.keeping(flag=timedelta(0), setting=None, expires=DAY).before(NOW) == NOW


@pytest.mark.parametrize("expires", ["soon", -1, object(), [1]])
def test_nonsense_in_celerys_setting_is_refused(expires: object) -> None:
    with pytest.raises(BadSetting, match="CELERY_RESULT_EXPIRES"):
        results.keeping(flag=None, setting=None, expires=expires)


def test_the_cutoff_never_leaves_the_calendar() -> None:
    assert Keeping(WEEK, "").before(NOW) == datetime(2026, 1, 1, tzinfo=UTC)
    assert Keeping(timedelta.max, "").before(NOW) == datetime(1970, 1, 1, tzinfo=UTC)
