"""The embedded broker: a Valkey (or Redis) server on a unix socket, as the child of run_broker.

Where no such server exists, kombu's filesystem transport takes its place and nothing needs starting.
``embedded`` is called while settings are being read: nothing here touches django.conf at import.
"""

from .address import Embedded, embedded, find_server, socket_path
from .reachability import BrokerUnreachable, unreachable, wait

__all__ = ["BrokerUnreachable", "Embedded", "embedded", "find_server", "socket_path", "unreachable", "wait"]
