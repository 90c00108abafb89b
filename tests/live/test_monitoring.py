"""A schedule's monitor hears from a real worker."""

from pathlib import Path

from tests.monitor import Monitor
from tests.processes import Project, wait_for
from tests.servers import Valkey


def test_a_worker_pings_for_what_a_schedule_sends(tmp_path: Path, valkey: Valkey) -> None:
    monitor = Monitor()
    settings = "tests.live.projects.pinged"
    project = Project(tmp_path / "project", settings=settings, REDIS_URL=valkey.url, PING_URL=monitor.url)
    try:
        project.manage("migrate", "--no-input", "-v", "0")
        project.manage("sync_schedules", "-v", "0")
        worker = project.start("run_worker", "--pool", "prefork", "-c", "1", "-Q", "default,heavy_tasks")
        worker.wait_for_line(r"\S+@\S+ ready", seconds=60)
        project.manage("run_schedule", "maintenance.clear_sessions", "--wait")
        wait_for(lambda: len(monitor.paths) == 2, about="the second ping")
        assert monitor.paths == ["/ping/0f7c-secret/start", "/ping/0f7c-secret"]
        worker.wait_for_line(r'maintenance\.runs: event="start" task="maintenance\.clear_sessions" id="\S+" schedule=')
        worker.wait_for_line(r'maintenance\.runs: event="done" .* result=\{"engine": ')
        assert "0f7c-secret" not in worker.output
    finally:
        project.close()
        monitor.close()
