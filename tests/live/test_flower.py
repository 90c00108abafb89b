"""run_flower: the real Flower, on this machine, for those who sign in."""

import base64
import contextlib
import http.client
import json
import signal
import subprocess
import sys
from typing import Any

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


def asked(port: int, path: str) -> Any:
    """Return what Flower's API answers to ann."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        ann = base64.b64encode(b"ann:s3cret").decode()
        connection.request("GET", path, headers={"Authorization": f"Basic {ann}"})
        return json.loads(connection.getresponse().read())


def started(project: Project, *args: str, **env: str) -> tuple[Process, int]:
    port = free_port()
    flower = project.start("run_flower", f"--port={port}", f"--folder={project.var}", *args, **env)
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


def test_workers_and_tasks_appear_in_its_api_for_who_signs_in(project: Project) -> None:
    args = ["-A", "opsproject", "worker", "-P", "threads", "-c", "1", "-l", "INFO", "-Q", "default", "-n", "one@test"]
    worker = project.spawn([sys.executable, "-m", "celery", *args])
    worker.wait_for_line("one@test ready", seconds=90)
    flower, port = started(project, "--basic-auth", "--url-prefix=flower", FLOWER_BASIC_AUTH="ann:s3cret")
    assert status(port, "/flower/api/workers") == status(port, "/flower/api/tasks") == 401
    wait_for(lambda: "one@test" in asked(port, "/flower/api/workers?refresh=1"), every=0.5, about="the worker")
    project.python("from opsproject.celery import debug_task\ndebug_task.delay()")
    wait_for(
        lambda: any(
            task["name"] == "opsproject.celery.debug_task" and task["state"] == "SUCCESS"
            for task in asked(port, "/flower/api/tasks").values()
        ),
        every=0.5,
        about="the task",
    )
    assert flower.terminate() == 0
    assert (project.var / "flower").exists() or list(project.var.glob("flower*"))
