"""The ops page in a real Chromium, with a real worker and broker behind it."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Site

OPERATIONS = "/admin/maintenance/operations/"


def test_a_person_sees_the_worker_runs_a_schedule_and_sees_its_result(site: Site) -> None:
    site.project.manage("sync_schedules", "--noinput")
    site.project.start("run_worker", "-P", "threads", "-c", "2").wait_for_line("ready")
    with site.signed_in() as page:
        page.click("text=Operations")
        expect(page).to_have_url(re.compile(OPERATIONS))
        expect(page.locator("#tile-workers strong")).to_have_text("1", timeout=30_000)
        row = page.locator("#ops-schedules-table tr", has_text="examples.add")
        row.get_by_role("link", name="Run now").click()
        expect(page.get_by_text("Send the schedule “examples.add” now?")).to_be_visible()
        page.get_by_role("button", name="Run now").click()
        expect(page.locator(".messagelist .success")).to_contain_text("Run now: examples.add.")
        expect(row).to_contain_text("SUCCESS", timeout=30_000)
        expect(page.locator("#ops-live section", has_text="Latest results")).to_contain_text("examples.add")
