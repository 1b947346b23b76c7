"""Counts are right after faults that dxpy retries; a job fails after others."""

from pathlib import Path

import pytest

from dx_client import Applet, files_of
from local_platform import LocalPlatform
from local_platform.faults import (
    Fault,
    Injection,
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


Given = tuple[str, Fault]

# Each is what happens to one job: a fault in each of its steps.
TRANSIENT: dict[str, list[Given]] = {
    "an answer is an error": [
        (ANY_FILE + "/download", BROKEN),
        (BYTES, BUSY),
        ("/file/new", BUSY),
        (PART, BROKEN),
        (ANY_FILE + "/close", BROKEN),
    ],
    "a request is lost": [
        (ANY_FILE + "/download", lose_request),
        (BYTES, lose_request),
        (PART, lose_request),
    ],
    "an answer is lost": [
        ("/file/new", lose_answer),
        (PART, lose_answer),
        (ANY_FILE + "/close", lose_answer),
    ],
    "an answer is cut": [(ANY_FILE + "/download", cut), (BYTES, cut)],
    "an answer is not JSON": [(ANY_FILE + "/download", BAD_GATEWAY)],
    "an answer takes long, and a byte is wrong": [
        (ANY_FILE + "/download", stall(2)),
        (BYTES, corrupt),
    ],
}


@pytest.mark.parametrize("faults", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_passes_changes_nothing(
    applet: Applet, platform: LocalPlatform, bam: Path, faults: list[Given]
) -> None:
    injected: list[Injection] = []
    run = applet.run(
        bam,
        Path(f"{bam}.bai"),
        before=lambda: injected.extend(platform.faults.add(*fault) for fault in faults),
    )
    assert [one.times for one in injected] == [0] * len(faults), "a fault never happened"
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
