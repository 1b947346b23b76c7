"""A page as a reader meets it: opened from a file, without a network, in a real Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page


@contextmanager
def visit(browser: Browser, file: Path, **options: Any) -> Iterator[Page]:
    """Opens a file; in the end it may have asked for nothing but itself, and complained of nothing.

    Args:
        browser: the browser.
        file: the page.
        options: of the browser's context: viewport, color_scheme, java_script_enabled, ...
    """
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert not complaints, complaints
    assert requests == [file.as_uri()], requests
