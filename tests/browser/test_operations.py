"""The ops page in a real Chromium, with a real worker and broker behind it."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Site

BUTTONS = re.compile("^(Run now|Enable|Disable|Reset|Verify|Retry|Download)")
OPERATIONS = "/admin/maintenance/operations/"
# What the page must live with: nothing inline, nothing from elsewhere.
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
)


def strictly(page: Page) -> None:
    """Let the browser enforce a strict Content Security Policy on every page."""

    def answer(route: Route) -> None:
        response = route.fetch(max_redirects=0)
        route.fulfill(response=response, headers={**response.headers, "content-security-policy": STRICT})

    page.route("**/*", answer)


def faults(page: Page) -> list[str]:
    """Return axe-core's serious and critical findings."""
    found: Any = Axe().run(page).response
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def too_wide(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_person_sees_the_worker_runs_a_schedule_and_sees_its_result(site: Site) -> None:
    site.project.manage("sync_schedules", "--noinput")
    site.project.start("run_worker", "-P", "threads", "-c", "2").wait_for_line("ready", seconds=120)
    with site.signed_in() as page:
        strictly(page)
        page.get_by_role("link", name="Operations").first.click()
        expect(page).to_have_url(re.compile(OPERATIONS))
        expect(page.locator("#tile-workers strong")).to_have_text("1", timeout=30_000)
        row = page.locator("#ops-schedules-table tr", has_text="examples.add")
        row.get_by_role("link", name="Run now").click()
        expect(page.get_by_text("Send the schedule “examples.add” now?")).to_be_visible()
        page.get_by_role("button", name="Run now").click()
        expect(page.locator(".messagelist .success")).to_contain_text("Run now: examples.add.")
        # The page refreshes itself: nobody reloads it.
        row = page.locator("#ops-schedules-table tr", has_text="examples.add")
        expect(row).to_contain_text("SUCCESS", timeout=60_000)
        expect(page.locator("#ops-live section", has_text="Latest results")).to_contain_text("examples.add")
        expect(page.locator(".messagelist .success")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_it_is_readable_for_everybody(filled: Site, scheme: Any, width: int) -> None:
    with filled.signed_in(color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        strictly(page)
        page.goto(OPERATIONS)
        expect(page.locator("svg.ops-timeline")).to_be_visible()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is (scheme == "light")
        assert faults(page) == []
        assert too_wide(page) == 0
        for link in ("Traceback", "Verify"):
            page.goto(OPERATIONS)
            page.get_by_role("link", name=link).first.click()
            expect(page.locator(".ops")).to_be_visible()
            assert faults(page) == []
            assert too_wide(page) == 0


def test_all_of_it_works_without_javascript(filled: Site) -> None:
    with filled.signed_in(java_script_enabled=False) as page:
        page.goto(f"{OPERATIONS}?q=examples")
        expect(page.locator("svg.ops-timeline")).to_be_visible()
        rows = page.locator("#ops-schedules-table tbody tr")
        expect(rows).to_have_count(1)
        rows.get_by_role("link", name="Disable").click()
        page.get_by_role("button", name="Disable").click()
        expect(page.locator(".messagelist .success")).to_contain_text("Disable: examples.add.")
        page.get_by_role("link", name="Download").first.click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        stored = filled.project.var / "backups" / download.value.suggested_filename
        assert Path(download.value.path()).read_bytes() == stored.read_bytes()


def test_who_may_only_look_finds_no_button(filled: Site) -> None:
    with filled.signed_in("grace") as page:
        page.goto(OPERATIONS)
        expect(page.locator("#ops-schedules-table tbody tr").first).to_be_visible()
        expect(page.get_by_role("link", name=BUTTONS)).to_have_count(0)


def test_a_page_that_refreshes_itself_keeps_the_focus_and_can_be_paused(filled: Site) -> None:
    with filled.signed_in() as page:
        page.goto(OPERATIONS)
        page.locator("#ops-timeline-table summary").click()
        link = page.get_by_role("link", name="Run now").first
        link.focus()
        with page.expect_response(lambda response: "hx-request" in response.request.headers, timeout=60_000):
            pass
        expect(link).to_be_focused()
        expect(page.locator("#ops-timeline-table table")).to_be_visible()
        page.get_by_role("link", name="Pause refreshing").click()
        expect(page.get_by_role("link", name="Refresh every 10 s")).to_be_visible()
        assert page.locator("[hx-get]").count() == 0
