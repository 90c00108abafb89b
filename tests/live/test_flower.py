"""run_flower: the real Flower, on this machine, for those who sign in."""

import base64
import http.client
import signal
import subprocess

from tests.processes import Process, Project, wait_for
from tests.servers import accepts, free_port


def command_line(pid: int) -> str:
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout


def status(port: int, path: str, credentials: str | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {}
    if credentials:
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse().status
    connection.close()
    return answer


def started(project: Project, *args: str, **env: str) -> tuple[Process, int]:
    port = free_port()
    flower = project.start("run_flower", f"--port={port}", *args, **env)
    wait_for(lambda: accepts(port) or flower.popen.poll() is not None, seconds=60, about="Flower's port")
    return flower, port


def test_flower_asks_who_you_are_and_keeps_the_password_out_of_sight(project: Project) -> None:
    flower, port = started(project, "--basic-auth", FLOWER_BASIC_AUTH="ann:s3cret")
    assert [
        status(port, "/workers"),
        status(port, "/workers", "ann:wrong"),
        status(port, "/workers", "ann:s3cret"),
    ] == [
        401,
        401,
        200,
    ]
    shown = command_line(flower.pid)
    assert f"-m celery -A opsproject flower --address=127.0.0.1 --port={port}" in shown
    assert "s3cret" not in shown + flower.output
    flower.send(signal.SIGTERM)
    assert flower.wait() == 0


def test_flower_on_this_machine_is_open_without_one(project: Project) -> None:
    flower, port = started(project)
    assert status(port, "/workers") == 200
    assert flower.terminate() == 0
