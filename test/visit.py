"""Opens an HTML report in a real Chromium, from a file and without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page


@contextmanager
def visit(browser: Browser, file: Path, **options: Any) -> Iterator[Page]:
    """Opens a page; at the end, checks that it loaded no other files and logged no messages.

    Args:
        browser: the browser.
        file: the HTML file.
        options: options of the browser context: viewport, color_scheme, java_script_enabled, ...
    """
    context = browser.new_context(offline=True, **options)
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert not messages, messages
    assert requests == [file.as_uri()], requests
