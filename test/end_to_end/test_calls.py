"""Number of API requests of a job; all inputs are described in a single request."""

from collections import Counter
from pathlib import Path

import pytest

from builders import index_of
from dx_client import Applet
from local_platform import LocalPlatform
from local_platform.network import GET, PUT

OUTPUTS = 4


@pytest.mark.parametrize("option", ["stream_bam=false", "stream_bam=true", "counts_from=index"])
def test_a_job_makes_no_unnecessary_requests(
    applet: Applet, platform: LocalPlatform, bam: Path, option: str
) -> None:
    run = applet.run(bam, index_of(bam), option)
    assert run.state == "done", run.log
    requests = Counter(
        one.route for one in platform.network.requests if one.caller == run.job["id"]
    )
    downloaded = option == "stream_bam=false"
    assert requests.pop(GET) == 2 or not downloaded
    assert requests == {
        # dxpy.run() describes the job.
        "/{execution}/describe": 1,
        "/system/describeDataObjects": 1,
        # Two check access to the inputs; dxpy makes another one for each file that it downloads.
        "/{file}/download": 4 if downloaded else 3,
        # dxpy.upload_local_file()
        "/file/new": OUTPUTS,
        "/{container}/describe": OUTPUTS,
        "/{file}/upload": OUTPUTS,
        PUT: OUTPUTS,
        "/{file}/close": OUTPUTS,
        # dxpy checks whether all parts have arrived.
        "/{object}/describe": OUTPUTS,
    }


def test_the_merging_job_makes_only_one_download_request_per_subjob(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    run = applet.run(bam, index_of(bam), "subjobs=3")
    assert run.state == "done", run.log
    jobs = platform.jobs.by_id.values()
    (merge,) = (job.id for job in jobs if job.function == "merge" and job.root.id == run.job["id"])
    requests = Counter(one.route for one in platform.network.requests if one.caller == merge)
    assert requests["/system/describeDataObjects"] == 1
    # The index (twice), the BAM, and the counts of the subjob; a file this small has only one.
    assert requests["/{file}/download"] == 4
    assert requests["/{object}/describe"] == OUTPUTS
