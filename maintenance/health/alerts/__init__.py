"""Alerts: one message a change of a check's state, to everybody who shall know."""

from .changes import causes
from .channel import Channel, channels
from .message import Origin
from .outbox import Delivered, deliver, record

__all__ = ["Channel", "Delivered", "Origin", "causes", "channels", "deliver", "record"]
