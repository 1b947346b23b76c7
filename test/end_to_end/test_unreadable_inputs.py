"""Inputs that the platform does not give out fail the job at once, by name, and with the cure."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builders import index_of
from dx_client import Applet, Dx, Run
from local_platform import LocalPlatform, store
from local_platform.faults import Fault, refuse
from messages import is_a_known_message

pytestmark = pytest.mark.usefixtures("no_fault_is_left")

WAYS = ["stream_bam=false", "stream_bam=true", "counts_from=index", "subjobs=2"]
INPUTS = ["mappings_sorted_bam", "mappings_sorted_bai", "regions_bed"]


@pytest.fixture
def bed(tmp_path: Path) -> Path:
    path = tmp_path / "exons.bed"
    path.write_text("chr1\t0\t100\n")
    return path


def run_after(
    applet: Applet,
    platform: LocalPlatform,
    files: dict[str, Path],
    options: tuple[str, ...],
    change: Callable[[dict[str, str]], object],
) -> tuple[Run, int]:
    """Changes files, given their IDs by input, when the job has been started but does not run yet.

    Gives the job, and the bytes of its files that left the platform.
    """
    dx = applet.dx
    ids = {field: dx.upload(path) for field, path in files.items()}
    given = [f"{field}={file_id}" for field, file_id in ids.items()] + [*options]
    inputs = [part for value in given for part in ("-i", value)]
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


def fails_before_the_first_byte(run: Run, sent: int, *words: str) -> None:
    assert run.failure[0] == "AppError", run.log
    assert is_a_known_message(run.failure[1], "AppError")
    for word in words:
        assert word in run.failure[1]
    assert sent == 0
    assert "downloading" not in run.log


@pytest.mark.parametrize("field", INPUTS)
def test_an_archived_input_is_named_with_the_command_that_restores_it(
    applet: Applet, platform: LocalPlatform, bam: Path, bed: Path, field: str
) -> None:
    files = dict(zip(INPUTS, (bam, index_of(bam), bed), strict=True))
    archived: list[str] = []

    def archive(ids: dict[str, str]) -> None:
        applet.dx.ok("archive", "-y", ids[field])
        archived.append(ids[field])

    run, sent = run_after(applet, platform, files, (), archive)
    what = f"{field}: {files[field].name} is archived. Run 'dx unarchive {archived[0]}'"
    fails_before_the_first_byte(run, sent, what)


@pytest.mark.parametrize("how", WAYS[1:])
def test_an_archived_file_is_not_streamed(
    applet: Applet, platform: LocalPlatform, bam: Path, how: str
) -> None:
    run, sent = run_after(
        applet,
        platform,
        dict(zip(INPUTS, (bam, index_of(bam)), strict=False)),
        (how,),
        lambda ids: applet.dx.ok("archive", "-y", ids["mappings_sorted_bam"]),
    )
    fails_before_the_first_byte(run, sent, "mappings_sorted_bam: sample.bam is archived.")


def test_a_file_that_is_being_unarchived_has_to_be_waited_for(
    applet: Applet, platform: LocalPlatform, bam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "UNARCHIVING_SECONDS", 3600)

    def restore(ids: dict[str, str]) -> None:
        for command in ("archive", "unarchive"):
            applet.dx.ok(command, "-y", ids["mappings_sorted_bam"])

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after(applet, platform, files, (), restore)
    fails_before_the_first_byte(run, sent, "sample.bam is being unarchived. Wait until")


def test_a_file_whose_upload_is_not_complete_is_refused(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    """The platform waits for its inputs to be closed; nobody else would see one that is not."""

    def open_again(ids: dict[str, str]) -> None:
        platform.store.find_object(ids["mappings_sorted_bam"]).state = "open"

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after(applet, platform, files, (), open_again)
    fails_before_the_first_byte(run, sent, "sample.bam is open, not closed")


def test_a_file_that_has_been_removed_is_refused(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, sent = run_after(
        applet, platform, files, (), lambda ids: applet.dx.ok("rm", ids["mappings_sorted_bai"])
    )
    fails_before_the_first_byte(run, sent, "mappings_sorted_bai: file-", "cannot be found")


@pytest.mark.parametrize(("field", "how"), [*zip(INPUTS[:2] * 2, WAYS, strict=True)])
def test_a_flagged_file_is_refused(
    applet: Applet, platform: LocalPlatform, bam: Path, field: str, how: str
) -> None:
    def flag(ids: dict[str, str]) -> None:
        platform.store.find_object(ids[field]).flagged = True

    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    run, _ = run_after(applet, platform, files, (how,), flag)
    assert run.failure[0] == "AppError", run.log
    assert (
        f"{field}: {files[field].name} is flagged as malicious by the platform." in run.failure[1]
    )
    assert is_a_known_message(run.failure[1], "AppError")
    assert run.job["output"] is None


REFUSALS: dict[str, Fault] = {
    "no permission": refuse("PermissionDenied", 401, "VIEW permission required"),
    # In the words of the platform (dnanexus/dx-toolkit, issue 1212).
    "a watermark": refuse(
        "InvalidInput", 422, "Cannot make download URL for watermarkable file without projectId"
    ),
    "a project's policy": refuse("PermissionDenied", 401, "downloads are restricted"),
}


@pytest.mark.parametrize(
    ("how", "reason"), [*zip([*WAYS, WAYS[0]], [*REFUSALS, *list(REFUSALS)[:2]], strict=True)]
)
def test_a_file_that_the_platform_does_not_give_out_is_named(
    applet: Applet, platform: LocalPlatform, bam: Path, how: str, reason: str
) -> None:
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}

    def refuse_downloads(ids: dict[str, str]) -> None:
        platform.faults.add(f"/{ids['mappings_sorted_bam']}/download", REFUSALS[reason], times=100)

    run, _ = run_after(applet, platform, files, (how,), refuse_downloads)
    assert run.failure[0] == "AppError", run.log
    assert is_a_known_message(run.failure[1], "AppError")
    streamed = how != WAYS[0]
    assert ("cannot be streamed" in run.failure[1]) is streamed
    assert ("Run the job again without stream_bam" in run.failure[1]) is streamed
    assert "mappings_sorted_bam: sample.bam" in run.failure[1]


def test_a_link_that_has_expired_does_not_ask_to_run_the_job_again(
    applet: Applet, platform: LocalPlatform, bam: Path, dx: Dx
) -> None:
    """The file is archived while the job streams it."""
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}

    def archive_when_it_is_read(ids: dict[str, str]) -> None:
        def archive(app: object, environ: object, start_response: object) -> object:
            file = platform.store.find_object(ids["mappings_sorted_bam"])
            for placement in file.placements.values():
                placement.archival = "archived"
            return app(environ, start_response)  # type: ignore[operator]

        platform.faults.add(r"/F/D/.*\.bam", archive, times=1)  # type: ignore[arg-type]

    run, _ = run_after(applet, platform, files, ("stream_bam=true",), archive_when_it_is_read)
    assert run.failure[0] == "AppError", run.log
    assert "cannot be streamed (HTTP status 403): the link to it has expired" in run.failure[1]
    assert "Trying again" not in run.log
