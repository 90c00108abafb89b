"""make screenshots: docs/operations.png and docs/operations-dark.png, of a project at work."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.processes import ROOT

LARGEST_BYTES = 150_000


@pytest.mark.parametrize(("name", "scheme"), [("operations", "light"), ("operations-dark", "dark")])
def test_screenshot(filled: Site, name: str, scheme: Any) -> None:
    filled.project.start("run_worker", "-P", "threads", "-c", "2").wait_for_line("ready", seconds=120)
    filled.project.start("run_beat").wait_for_line("beat: Starting", seconds=120)
    path = ROOT / "docs" / f"{name}.png"
    with filled.signed_in(color_scheme=scheme, viewport={"width": 1180, "height": 1180}) as page:
        page.goto("/admin/maintenance/operations/?refresh=on")
        expect(page.locator("#tile-workers.ops-ok")).to_be_visible(timeout=60_000)
        expect(page.locator("#tile-beat.ops-ok")).to_be_visible(timeout=60_000)
        page.screenshot(path=path, animations="disabled")
    assert path.stat().st_size < LARGEST_BYTES
