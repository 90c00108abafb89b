"""The embedded broker: a Valkey (or Redis) server on a unix socket, as the child of run_broker.

Where no such server exists, kombu's filesystem transport takes its place and nothing needs starting.
``embedded`` is called while settings are being read: nothing here touches django.conf at import.
"""

from .address import Embedded, embedded, filesystem_folders, find_server, socket_path
from .folder import make_all
from .reachability import BrokerUnreachable, alone, bounded, unreachable, wait

__all__ = [
    "BrokerUnreachable",
    "Embedded",
    "alone",
    "bounded",
    "embedded",
    "filesystem_folders",
    "find_server",
    "make_all",
    "socket_path",
    "unreachable",
    "wait",
]
