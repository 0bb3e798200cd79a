"""Grafana's token on requests to Grafana, and on no others."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from modelplane_provisioning.pictures.shots import origin_of


async def authorize(page: Page, origin: str, token: str) -> None:
    """Let every request of a page to ``origin`` carry the token, from now on.

    Headers of playwright's contexts and routes go with redirects to other hosts; those of the browser's own
    protocol do not: https://chromedevtools.github.io/devtools-protocol/tot/Fetch/#method-continueRequest.
    """
    session = await page.context.new_cdp_session(page)

    async def answer(paused: dict[str, Any]) -> None:
        request = paused["request"]
        headers = {
            name: value for name, value in request["headers"].items() if name.lower() != "authorization"
        }
        if origin_of(request["url"]) == origin:
            headers["Authorization"] = f"Bearer {token}"
        entries = [{"name": name, "value": value} for name, value in headers.items()]
        try:
            await session.send(
                "Fetch.continueRequest", {"requestId": paused["requestId"], "headers": entries}
            )
        except PlaywrightError:
            return  # the page was closed, or has gone on

    session.on("Fetch.requestPaused", answer)
    await session.send("Fetch.enable", {"patterns": [{"urlPattern": "*", "requestStage": "Request"}]})
