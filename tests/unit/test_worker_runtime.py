"""What run_worker's runtime does inside a Celery worker."""

import pytest
from celery import Celery

from maintenance.worker.runtime import stop_confirming

SAID = "confirm_publish is off in this worker: with it, a green pool hangs on AMQP."


def app(**options: object) -> Celery:
    made = Celery("runtime", set_as_current=False)
    made.conf.broker_transport_options = options
    return made


def test_publisher_confirms_are_turned_off_and_the_other_options_stay(caplog: pytest.LogCaptureFixture) -> None:
    given = app(confirm_publish=True, client_properties={"a": 1})
    stop_confirming(given.conf)
    assert given.conf.broker_transport_options == {"client_properties": {"a": 1}}
    assert caplog.messages == [SAID]


@pytest.mark.parametrize("options", [{}, {"confirm_publish": False}, {"socket_timeout": 5}])
def test_where_none_are_asked_for_nothing_is_said(caplog: pytest.LogCaptureFixture, options: dict[str, object]) -> None:
    given = app(**options)
    stop_confirming(given.conf)
    assert not given.conf.broker_transport_options.get("confirm_publish")
    assert caplog.messages == []
