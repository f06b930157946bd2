"""A headless browser for the tests marked `browser`: the system's Chromium and Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser() -> Iterator:
    """Start Chromium; the test is skipped where there is none, unless BROWSER=1 asks for it."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        assert not os.environ.get("BROWSER"), "make test-browser installs chromium and playwright"
        pytest.skip("make test-browser installs chromium and playwright")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def page(chromium, size: tuple[int, int] = SIZES["desktop"], **looks) -> Iterator:
    """Open a page; at the end nothing may have been complained about or asked from a network."""
    width, height = size
    context = chromium.new_context(viewport={"width": width, "height": height}, **looks)
    shown = context.new_page()
    said: list[str] = []
    shown.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    shown.on("pageerror", lambda error: said.append(f"error: {error}"))
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    try:
        yield shown
        assert [line for line in said if not line.startswith(("log", "info"))] == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    finally:
        context.close()
