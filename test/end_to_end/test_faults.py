"""Counts come right through whatever dxpy can try again, and not at all through what it cannot."""

from pathlib import Path

import pytest

from dx_client import Applet, files_of
from local_platform import LocalPlatform
from local_platform.faults import (
    Fault,
    answer,
    corrupt,
    cut,
    lose_answer,
    lose_request,
    refuse,
    stall,
)
from oracle import expected_count_file

# Without them the next test would have the faults that this one has not used up.
pytestmark = pytest.mark.usefixtures("no_fault_is_left")

ANY_FILE = r"/file-\w+"
BYTES = r"/F/D/.*"
PART = r"/upload/.*"

BUSY = answer("503 Service Unavailable", ("Retry-After", "1"))
BROKEN = answer("500 Internal Server Error")
BAD_GATEWAY = answer("502 Bad Gateway", ("Content-Type", "text/html"), body=b"<html>502</html>")
REFUSED = refuse("InvalidState", 422, "refused by the test")


TRANSIENT: dict[str, tuple[str, Fault]] = {
    "500 to a request": (ANY_FILE + "/download", BROKEN),
    "502 to a request": (ANY_FILE + "/download", BAD_GATEWAY),
    "503 to a request": ("/file/new", BUSY),
    "a request is lost": (ANY_FILE + "/download", lose_request),
    "an answer is lost": ("/file/new", lose_answer),
    "an answer is cut": (ANY_FILE + "/download", cut),
    "an answer takes long": (ANY_FILE + "/download", stall(2)),
    "a download is refused for now": (BYTES, BUSY),
    "a download is lost": (BYTES, lose_request),
    "a download is cut": (BYTES, cut),
    "a download has a wrong byte": (BYTES, corrupt),
    "a part of an upload fails": (PART, BROKEN),
    "a part of an upload is lost": (PART, lose_request),
    "the answer to a part is lost": (PART, lose_answer),
    "closing fails": (ANY_FILE + "/close", BROKEN),
    "the answer to closing is lost": (ANY_FILE + "/close", lose_answer),
}


@pytest.mark.parametrize(("path", "fault"), TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_passes_changes_nothing(
    applet: Applet, platform: LocalPlatform, bam: Path, path: str, fault: Fault
) -> None:
    injected = []
    run = applet.run(
        bam,
        Path(f"{bam}.bai"),
        before=lambda: injected.append(platform.faults.add(path, fault)),
    )
    assert injected[0].times == 0, "the fault never happened"
    assert run.state == "done", run.log
    assert run.produced == files_of("sample")
    assert run.count_file == expected_count_file(bam)


LASTING: dict[str, tuple[str, Fault, str]] = {
    "downloads have wrong bytes": (BYTES, corrupt, "DXChecksumMismatchError"),
    "no file can be made": ("/file/new", REFUSED, "refused by the test"),
    "no file can be closed": (ANY_FILE + "/close", REFUSED, "refused by the test"),
}


@pytest.mark.parametrize(("path", "fault", "words"), LASTING.values(), ids=LASTING.keys())
def test_a_fault_that_lasts_fails_the_job_and_leaves_no_count_file(
    applet: Applet, platform: LocalPlatform, bam: Path, path: str, fault: Fault, words: str
) -> None:
    run = applet.run(
        bam, Path(f"{bam}.bai"), before=lambda: platform.faults.add(path, fault, times=1000)
    )
    assert run.state == "failed"
    assert run.failure[0] == "AppInternalError"
    assert words in run.failure[1]
    assert run.produced == []
