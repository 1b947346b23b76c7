"""Unreadable inputs: the job fails before any transfer, names the input and says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builders import index_of
from dx_client import Applet, Dx, Run
from local_platform import LocalPlatform, store
from local_platform.faults import Fault, refuse
from messages import is_a_known_message

pytestmark = pytest.mark.usefixtures("clear_faults")

OPTIONS = ["stream_bam=false", "stream_bam=true", "counts_from=index", "subjobs=2"]
INPUTS = ["mappings_sorted_bam", "mappings_sorted_bai", "regions_bed"]


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    """A small BED file."""
    path = tmp_path / "exons.bed"
    path.write_text("chr1\t0\t100\n")
    return path


def run_after_change(
    applet: Applet,
    platform: LocalPlatform,
    files: dict[str, Path],
    options: tuple[str, ...],
    change: Callable[[dict[str, str]], object],
) -> tuple[Run, int]:
    """Runs a job, but changes its input files after it has been created and before it starts.

    Args:
        applet: the applet.
        platform: the platform.
        files: the input files.
        options: further inputs, as `name=value`.
        change: called with the IDs of the uploaded files by input.

    Returns:
        The finished job, and the number of bytes of its input files that were transferred to it.
    """
    dx = applet.dx
    ids = {field: dx.upload(path) for field, path in files.items()}
    values = [*(f"{field}={file_id}" for field, file_id in ids.items()), *options]
    inputs = [part for value in values for part in ("-i", value)]
    before = len(platform.network.transfers)
    with platform.jobs.held():
        job_id = dx.ok(
            "run", applet.id, *inputs, "--destination", f"{dx.folder}/o", "--brief", "-y"
        )
        change(ids)
    log = dx.log_of(job_id)
    sent = sum(
        one.sent
        for one in platform.network.transfers[before:]
        if one.file_id in ids.values() and one.caller != "user-local"
    )
    return Run(dx, dx.describe(job_id), log, []), sent


def assert_failed_before_transfer(run: Run, sent: int, *words: str) -> None:
    """Asserts that a job failed with these words in its message before it read any file."""
    assert run.failure[0] == "AppError", run.log
    assert is_a_known_message(run.failure[1], "AppError")
    for word in words:
        assert word in run.failure[1]
    assert sent == 0
    assert "downloaded" not in run.log


@pytest.mark.parametrize("field", INPUTS)
def test_an_archived_input_is_rejected_with_the_command_to_unarchive_it(
    applet: Applet, platform: LocalPlatform, bam: Path, bed: Path, field: str
) -> None:
    files = dict(zip(INPUTS, (bam, index_of(bam), bed), strict=True))
    archived: list[str] = []

    def archive(ids: dict[str, str]) -> None:
        applet.dx.ok("archive", "-y", ids[field])
        archived.append(ids[field])

    run, sent = run_after_change(applet, platform, files, (), archive)
    message = f"{field}: {files[field].name} is archived. Run 'dx unarchive {archived[0]}'"
    assert_failed_before_transfer(run, sent, message)


@pytest.mark.parametrize("option", OPTIONS[1:])
def test_an_archived_file_is_not_streamed(
    applet: Applet, platform: LocalPlatform, bam: Path, option: str
) -> None:
    run, sent = run_after_change(
        applet,
        platform,
        dict(zip(INPUTS, (bam, index_of(bam)), strict=False)),
        (option,),
        lambda ids: applet.dx.ok("archive", "-y", ids["mappings_sorted_bam"]),
    )
    assert_failed_before_transfer(run, sent, "mappings_sorted_bam: sample.bam is archived.")


def test_a_file_that_is_being_unarchived_is_rejected(
    applet: Applet, platform: LocalPlatform, bam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "UNARCHIVING_SECONDS", 3600)

    def restore(ids: dict[str, str]) -> None:
        for command in ("archive", "unarchive"):
            applet.dx.ok(command, "-y", ids["mappings_sorted_bam"])

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after_change(applet, platform, files, (), restore)
    assert_failed_before_transfer(run, sent, "sample.bam is being unarchived. Wait until")


def test_a_file_with_an_incomplete_upload_is_rejected(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    """Sets the state directly: the platform does not start a job until its inputs are closed."""

    def reopen(ids: dict[str, str]) -> None:
        platform.store.find_object(ids["mappings_sorted_bam"]).state = "open"

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after_change(applet, platform, files, (), reopen)
    assert_failed_before_transfer(run, sent, "sample.bam is open, not closed")


def test_a_removed_file_is_rejected(applet: Applet, platform: LocalPlatform, bam: Path) -> None:
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after_change(
        applet, platform, files, (), lambda ids: applet.dx.ok("rm", ids["mappings_sorted_bai"])
    )
    assert_failed_before_transfer(run, sent, "mappings_sorted_bai: file-", "cannot be found")


@pytest.mark.parametrize(("field", "option"), [*zip(INPUTS[:2] * 2, OPTIONS, strict=True)])
def test_a_file_flagged_as_malicious_is_rejected(
    applet: Applet, platform: LocalPlatform, bam: Path, field: str, option: str
) -> None:
    def flag(ids: dict[str, str]) -> None:
        platform.store.find_object(ids[field]).flagged = True

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, _ = run_after_change(applet, platform, files, (option,), flag)
    assert run.failure[0] == "AppError", run.log
    assert (
        f"{field}: {files[field].name} is flagged as malicious by the platform." in run.failure[1]
    )
    assert is_a_known_message(run.failure[1], "AppError")
    assert run.job["output"] is None


DENIALS: dict[str, Fault] = {
    "no permission": refuse("PermissionDenied", 401, "VIEW permission required"),
    # The message of the real platform (dnanexus/dx-toolkit, issue 1212).
    "watermark": refuse(
        "InvalidInput", 422, "Cannot make download URL for watermarkable file without projectId"
    ),
    "project policy": refuse("PermissionDenied", 401, "downloads are restricted"),
}


@pytest.mark.parametrize(
    ("option", "reason"),
    [*zip([*OPTIONS, OPTIONS[0]], [*DENIALS, *list(DENIALS)[:2]], strict=True)],
)
def test_a_file_whose_download_is_denied_is_named(
    applet: Applet, platform: LocalPlatform, bam: Path, option: str, reason: str
) -> None:
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}

    def deny_downloads(ids: dict[str, str]) -> None:
        platform.faults.add(f"/{ids['mappings_sorted_bam']}/download", DENIALS[reason], times=100)

    run, _ = run_after_change(applet, platform, files, (option,), deny_downloads)
    assert run.failure[0] == "AppError", run.log
    assert is_a_known_message(run.failure[1], "AppError")
    streamed = option != OPTIONS[0]
    assert ("cannot be streamed" in run.failure[1]) is streamed
    assert ("Run the job again without stream_bam" in run.failure[1]) is streamed
    assert "mappings_sorted_bam: sample.bam" in run.failure[1]


def test_a_request_with_an_expired_link_is_not_retried(
    applet: Applet, platform: LocalPlatform, bam: Path, dx: Dx
) -> None:
    """The file is archived while the job streams it."""
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}

    def archive_while_reading(ids: dict[str, str]) -> None:
        def archive(app: object, environ: object, start_response: object) -> object:
            file = platform.store.find_object(ids["mappings_sorted_bam"])
            for placement in file.placements.values():
                placement.archival = "archived"
            return app(environ, start_response)  # type: ignore[operator]

        platform.faults.add(r"/F/D/.*\.bam", archive, times=1)  # type: ignore[arg-type]

    run, _ = run_after_change(applet, platform, files, ("stream_bam=true",), archive_while_reading)
    assert run.failure[0] == "AppError", run.log
    assert "cannot be streamed (HTTP status 403): the link to it has expired" in run.failure[1]
    assert "Trying again" not in run.log
