"""What a job asks the platform for: the inputs in one call, and nothing twice that it knows."""

from collections import Counter
from pathlib import Path

import pytest

from builders import index_of
from dx_client import Applet
from local_platform import LocalPlatform
from local_platform.network import GET, PUT

OUTPUTS = 4


@pytest.mark.parametrize("way", ["stream_bam=false", "stream_bam=true", "counts_from=index"])
def test_a_job_makes_few_calls(
    applet: Applet, platform: LocalPlatform, bam: Path, way: str
) -> None:
    run = applet.run(bam, index_of(bam), way)
    assert run.state == "done", run.log
    made = Counter(one.route for one in platform.network.requests if one.caller == run.job["id"])
    downloaded = way == "stream_bam=false"
    assert made.pop(GET) == 2 or not downloaded
    assert made == {
        # dxpy.run() describes the job.
        "/{execution}/describe": 1,
        "/system/describeDataObjects": 1,
        # Whether the platform gives a file out; and for each that is downloaded dxpy asks again.
        "/{file}/download": 4 if downloaded else 3,
        # dxpy.upload_local_file()
        "/file/new": OUTPUTS,
        "/{container}/describe": OUTPUTS,
        "/{file}/upload": OUTPUTS,
        PUT: OUTPUTS,
        "/{file}/close": OUTPUTS,
        # It looks whether the parts have arrived.
        "/{object}/describe": OUTPUTS,
    }


def test_a_merging_job_makes_no_more_calls_for_each_subjob_than_a_download(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    run = applet.run(bam, index_of(bam), "subjobs=3")
    assert run.state == "done", run.log
    jobs = platform.jobs.by_id.values()
    (merge,) = (job.id for job in jobs if job.function == "merge" and job.root.id == run.job["id"])
    made = Counter(one.route for one in platform.network.requests if one.caller == merge)
    assert made["/system/describeDataObjects"] == 1
    # The index (twice), the BAM, and the counts of the only subjob that such a small file is worth.
    assert made["/{file}/download"] == 4
    assert made["/{object}/describe"] == OUTPUTS
