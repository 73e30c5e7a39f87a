"""Under a real JupyterHub in a real browser: its checks go by what browsers add to their requests."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.hub.conftest import HUB_PASSWORD, PASSWORD, Hub
from tests.hub.conftest import hub as hub

from .conftest import Visit

pytestmark = pytest.mark.hub


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_context().new_page()


def wait_for_output(page: Page, text: str) -> None:
    Visit(page).wait_until_live()
    expect(page.locator('[data-cell-index="0"]')).to_contain_text(text)


def test_a_hub_user_comes_to_a_live_dashboard_by_the_hubs_login(hub: Hub, page: Page) -> None:
    page.goto(f"{hub.url}/dashboards/board")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill(HUB_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{hub.url}/dashboards/board")
    wait_for_output(page, "board for ann")
    # A fetch by which JupyterHub lets nobody in without the header against forged requests.
    listed = page.evaluate(
        """async () => {
          const { labextensionsUrl } = JSON.parse(document.getElementById("dash-config").textContent);
          const xsrf = /_xsrf=([^;]*)/.exec(document.cookie)[1];
          const ask = async (headers) => (await fetch(labextensionsUrl, { headers })).status;
          return [await ask({ "X-XSRFToken": decodeURIComponent(xsrf) }), await ask({})];
        }"""
    )
    assert listed == [200, 401]


def test_the_search_of_the_listing_completes_its_list_under_a_hub(hub: Hub, page: Page) -> None:
    page.goto(f"{hub.url}/login?server=1&next=/user/ann/dashboards%3Fq%3Dboard")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill(HUB_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{hub.url}/dashboards?q=board")
    page.get_by_role("searchbox").fill("secret")
    expect(page.get_by_role("link", name="secret")).to_be_visible()


def test_a_viewer_comes_to_a_live_dashboard_by_our_login_under_a_hub(hub: Hub, page: Page) -> None:
    page.goto(f"{hub.url}/login?next=/user/ann/dashboards/board")
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{hub.url}/dashboards/board")
    wait_for_output(page, "board for vera")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{hub.url}/login")
    page.goto(f"{hub.url}/dashboards/board")
    assert "/hub/login" in page.url
