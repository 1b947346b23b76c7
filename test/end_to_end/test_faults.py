"""Network and API faults: transient ones do not change the counts, persistent ones fail the job."""

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

pytestmark = pytest.mark.usefixtures("clear_faults")

ANY_FILE = r"/file-\w+"
BYTES = r"/F/D/.*"
PART = r"/upload/.*"

BUSY = answer("503 Service Unavailable", ("Retry-After", "1"))
BROKEN = answer("500 Internal Server Error")
BAD_GATEWAY = answer("502 Bad Gateway", ("Content-Type", "text/html"), body=b"<html>502</html>")
REFUSED = refuse("InvalidState", 422, "refused by the test")


PathAndFault = tuple[str, Fault]

# Each entry lists the faults of one job, in several of its steps.
TRANSIENT: dict[str, list[PathAndFault]] = {
    "error responses": [
        (ANY_FILE + "/download", BROKEN),
        (BYTES, BUSY),
        ("/file/new", BUSY),
        (PART, BROKEN),
        (ANY_FILE + "/close", BROKEN),
    ],
    "lost requests": [
        (ANY_FILE + "/download", lose_request),
        (BYTES, lose_request),
        (PART, lose_request),
    ],
    "lost responses": [
        ("/file/new", lose_answer),
        (PART, lose_answer),
        (ANY_FILE + "/close", lose_answer),
    ],
    "truncated responses": [(ANY_FILE + "/download", cut), (BYTES, cut)],
    "response that is not JSON": [(ANY_FILE + "/download", BAD_GATEWAY)],
    "slow response and corrupt byte": [
        (ANY_FILE + "/download", stall(2)),
        (BYTES, corrupt),
    ],
}


@pytest.mark.parametrize("faults", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_transient_faults_do_not_change_the_outputs(
    applet: Applet, platform: LocalPlatform, bam: Path, faults: list[PathAndFault]
) -> None:
    injected: list[Injection] = []
    run = applet.run(
        bam,
        Path(f"{bam}.bai"),
        before=lambda: injected.extend(platform.faults.add(*fault) for fault in faults),
    )
    assert [one.times for one in injected] == [0] * len(faults), "a fault was not triggered"
    assert run.state == "done", run.log
    assert run.produced == files_of("sample")
    assert run.count_file == expected_count_file(bam)


PERSISTENT: dict[str, tuple[str, Fault, str]] = {
    "downloads are corrupt": (BYTES, corrupt, "DXChecksumMismatchError"),
    "files cannot be created": ("/file/new", REFUSED, "refused by the test"),
    "files cannot be closed": (ANY_FILE + "/close", REFUSED, "refused by the test"),
}


@pytest.mark.parametrize(("path", "fault", "words"), PERSISTENT.values(), ids=PERSISTENT.keys())
def test_a_persistent_fault_fails_the_job_without_outputs(
    applet: Applet, platform: LocalPlatform, bam: Path, path: str, fault: Fault, words: str
) -> None:
    run = applet.run(
        bam, Path(f"{bam}.bai"), before=lambda: platform.faults.add(path, fault, times=1000)
    )
    assert run.state == "failed"
    assert run.failure[0] == "AppInternalError"
    assert words in run.failure[1]
    assert run.produced == []
