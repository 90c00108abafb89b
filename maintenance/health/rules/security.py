"""Rules of what strangers could do: run code, read messages, stop workers."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ...project import masked
from .base import ERROR, WARNING, Trouble, rule
from .facts import Facts

_PICKLE: Final = {"pickle", "application/x-python-serialize"}
_NEAR: Final = re.compile(r"(localhost|127\..*|::1|10\..*|192\.168\..*|172\.(1[6-9]|2\d|3[01])\..*|f[cd].*:.*|[^.:]+)")
_INSIDE: Final = (".internal", ".local", ".svc", ".cluster.local", ".lan", ".flycast", ".home.arpa")


@rule("pickle-accepted", ERROR, "security")
def pickle_accepted(facts: Facts) -> Iterator[Trouble]:
    """Whoever can write to the broker runs code in your workers.

    A pickled message is a program: reading it runs what its writer chose. JSON is data and nothing else.
    Source: Celery, Security, "Serializers"; Python, pickle, "Warning".
    """
    if _PICKLE.intersection(facts.conf.accept_content or ()):
        yield Trouble("Workers accept pickle.", f"Set {facts.line('accept_content', ['json'])}.")


@rule("pickle-results-accepted", ERROR, "security")
def pickle_results_accepted(facts: Facts) -> Iterator[Trouble]:
    """Whoever can write to the result backend runs code in your web processes.

    Results are unpickled by whoever asks for them, which is mostly a web process.
    Source: Celery, Configuration, result_accept_content.
    """
    if _PICKLE.intersection(facts.conf.result_accept_content or ()):
        yield Trouble("Results are accepted as pickle.", f"Set {facts.line('result_accept_content', ['json'])}.")


@rule("pickle-sent", ERROR, "security")
def pickle_sent(facts: Facts) -> Iterator[Trouble]:
    """Workers have to accept pickle to read these, and with it everybody's code.

    Sending pickle only works where it is accepted. Besides, a pickled argument breaks when its class moves between
    two deploys, while its message waits. Send ids and plain values. Source: Celery, Security, "Serializers".
    """
    for option in ("task_serializer", "result_serializer"):
        if facts.conf[option] in _PICKLE:
            yield Trouble(f"{facts.name(option)} is pickle.", f"Set {facts.line(option, 'json')}.")


@rule("serializer-not-accepted", ERROR, "security")
def serializer_not_accepted(facts: Facts) -> Iterator[Trouble]:
    """Workers refuse every message that this project sends (ContentDisallowed), and drop it.

    What is sent must be among what is accepted: the two settings are independent, and nothing compares them.
    Source: kombu, Serialization; Celery, Configuration, accept_content.
    """
    accepted = {str(each).removeprefix("application/") for each in facts.conf.accept_content or ()}
    sent = facts.conf.task_serializer
    if sent not in accepted and not (sent in _PICKLE and _PICKLE & accepted):
        fact = f"{facts.name('task_serializer')} is {sent}, and workers accept {', '.join(sorted(accepted)) or 'none'}."
        yield Trouble(fact, f"Set {facts.line('accept_content', [sent])}.")


@rule("debug-on", ERROR, "security", deploy=True)
def debug_on(facts: Facts) -> Iterator[Trouble]:
    """A worker remembers every SQL query until it dies of memory; error pages show settings to anybody.

    With DEBUG Django keeps the queries of a connection, and a worker's connection lives long: Celery's own loader
    warns of that leak. Source: Django, FAQ, "Why is Django leaking memory?"; celery.fixups.django.
    """
    if facts.django("DEBUG"):
        yield Trouble("DEBUG is on.", "Set DEBUG = False.")


@rule("secret-key-weak", ERROR, "security", deploy=True)
def secret_key_weak(facts: Facts) -> Iterator[Trouble]:
    """Sessions and signed links can be forged.

    A key that is short, has few different characters, or was written by startproject is guessed.
    Source: Django, system check security.W009, whose limits these are.
    """
    key = str(facts.django("SECRET_KEY") or "")
    if len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-"):
        cure = "Set SECRET_KEY to 50 random characters, from the environment."
        yield Trouble("SECRET_KEY is short, monotonous, or startproject's.", cure)


@rule("broker-guest", WARNING, "security", deploy=True)
def broker_guest(facts: Facts) -> Iterator[Trouble]:
    """Anybody who reaches the broker's port may read and write every task.

    guest:guest is RabbitMQ's first login; the server itself refuses it from other hosts unless somebody opened it.
    Source: RabbitMQ, Access Control, "Default Virtual Host and User".
    """
    for url in facts.brokers:
        parts = _parts(url)
        if parts is not None and parts.username == "guest" and not _is_this_host(parts.hostname):
            yield Trouble(f"The broker {masked(url)} is used as guest.", _url_cure(facts, "a login of its own"))


@rule("broker-no-password", WARNING, "security", deploy=True)
def broker_no_password(facts: Facts) -> Iterator[Trouble]:
    """Whoever reaches its port may read, change and delete every task.

    Redis lets in whoever connects, unless a password or an ACL is set; on another host its port is on a network.
    Source: Redis, Security, "Network security".
    """
    for url in facts.brokers:
        parts = _parts(url)
        if parts is None or parts.scheme not in ("redis", "rediss") or _is_this_host(parts.hostname):
            continue
        if not parts.password and not facts.transport.get("password"):
            yield Trouble(f"The broker {masked(url)} asks for no password.", _url_cure(facts, "a password"))


@rule("broker-plain-text", WARNING, "security", deploy=True)
def broker_plain_text(facts: Facts) -> Iterator[Trouble]:
    """Tasks, their arguments and the broker's password cross the network for everybody to read.

    Without TLS a broker on a public name is read and written by whoever sits in between. Names without a dot, of
    an inner domain, and private addresses are taken for a network of your own. Source: Celery, broker_use_ssl.
    """
    for url in facts.brokers:
        parts = _parts(url)
        plain = parts is not None and parts.scheme in ("redis", "amqp", "pyamqp") and not facts.conf.broker_use_ssl
        if plain and parts is not None and _is_far(parts.hostname):
            tls = "amqps" if "amqp" in parts.scheme else "rediss"
            yield Trouble(f"The broker {masked(url)} is reached without TLS.", _url_cure(facts, f"{tls}://"))


@rule("tls-unverified", WARNING, "security")
def tls_unverified(facts: Facts) -> Iterator[Trouble]:
    """Whoever sits between you and the broker can read everything in spite of TLS.

    Without verification any certificate is taken, also an attacker's. Some hosts (Heroku Redis) issue self-signed
    ones and leave no choice: then silence this rule knowingly. Source: Python, ssl.CERT_NONE.
    """
    given: Any = facts.conf.broker_use_ssl
    chosen = str(given.get("ssl_cert_reqs", given.get("cert_reqs", ""))) if isinstance(given, dict) else ""
    queries = [parse_qs(parts.query) for parts in map(_parts, facts.brokers) if parts is not None]
    in_url = any("none" in str(query.get("ssl_cert_reqs", "")).lower() for query in queries)
    if in_url or chosen.lower().endswith(("none", "cert_none")) or chosen == "0":
        cure = f'Set {facts.name("broker_use_ssl")} = {{"ssl_cert_reqs": ssl.CERT_REQUIRED}}.'
        yield Trouble("The broker's certificate is not verified.", cure)


@rule("worker-as-root", WARNING, "security", deploy=True)
def worker_as_root(facts: Facts) -> Iterator[Trouble]:
    """A hole in any task is a hole in the whole machine.

    C_FORCE_ROOT silences Celery's refusal to unpickle as root. Source: Celery, Daemonization,
    "Running the worker with superuser privileges (root)".
    """
    if facts.environ.get("C_FORCE_ROOT"):
        yield Trouble("C_FORCE_ROOT is set.", "Unset it, and start workers as a user of their own.")


@rule("flower-open", ERROR, "security")
def flower_open(facts: Facts) -> Iterator[Trouble]:
    """Whoever finds the page can stop your workers and start any task.

    Flower asks for no password unless told to, and listens on every address. run_flower refuses that.
    Source: Flower, Authentication.
    """
    asks = {"--basic-auth", "--basic_auth", "--auth", "--auth-provider", "--auth_provider"}
    for line in facts.lines:
        address = line.option("--address")
        guarded = facts.environ.get("FLOWER_BASIC_AUTH") or any(line.option(each) is not None for each in asks)
        if line.runs("celery") and line.runs("flower") and not guarded and not (address and _is_this_host(address)):
            command = "manage.py run_flower --address=0.0.0.0 --basic-auth"
            yield Trouble(f"The Procfile's {line.name} is open to everybody.", f"Make it `python {command}`.")


@rule("flower-api-open", ERROR, "security")
def flower_api_open(facts: Facts) -> Iterator[Trouble]:
    """Anybody may start tasks and shut workers down through the API, without signing in.

    Since Flower 2 its API answers 401 without authentication unless this variable is set.
    Source: Flower, Configuration, FLOWER_UNAUTHENTICATED_API.
    """
    if facts.environ.get("FLOWER_UNAUTHENTICATED_API", "").lower() in ("1", "true", "yes", "on"):
        yield Trouble("FLOWER_UNAUTHENTICATED_API is on.", "Unset it, and use --basic-auth.")


@rule("password-in-argv", ERROR, "security")
def password_in_argv(facts: Facts) -> Iterator[Trouble]:
    """Every user of the machine, and every listing of processes, shows it.

    A command line is public: /proc tells it to anybody. Measured: a poller of /proc saw a password in 15 of 20
    runs of a dump. Put secrets into the environment. Source: proc(5), cmdline.
    """
    for line in facts.lines:
        auth = line.option("--basic-auth", "--basic_auth") or ""
        broker = line.option("-b", "--broker") or ""
        if ":" in auth or re.search(r"//[^/]*:[^/@]+@", broker):
            cure = "Move it to the environment (FLOWER_BASIC_AUTH, CELERY_BROKER_URL)."
            yield Trouble(f"The Procfile's {line.name} holds a password.", cure)


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return None
    return parts


def _is_this_host(host: str | None) -> bool:
    return not host or host == "localhost" or host == "::1" or host.startswith("127.")


def _is_far(host: str | None) -> bool:
    return bool(host) and not _NEAR.fullmatch(str(host)) and not str(host).endswith(_INSIDE)


def _url_cure(facts: Facts, what: str) -> str:
    return f"Give {facts.name('broker_url')} {what}."
