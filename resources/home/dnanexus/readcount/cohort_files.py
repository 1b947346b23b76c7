"""The files of a cohort on the platform: descriptions, sheets, tables, links to stream, uploads."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from readcount.cohort.count import NotCounted, not_counted
from readcount.cohort.request import CohortRequest
from readcount.cohort.samples import Sample, SampleFile, pair_by_name
from readcount.cohort.sheets import parse_sheet
from readcount.cohort.tables import Table, open_table
from readcount.errors import InputError
from readcount.outputs.text import name_without_suffix
from readcount.platform_files import (
    PlatformFile,
    check_readable,
    describe_each,
    describe_files,
    download,
    download_input,
    id_of,
    streaming_url,
)
from readcount.request.request import Link
from readcount.source.files import InputFiles
from readcount.source.readers import StreamedFile
from readcount.threads import SIDE_BY_SIDE, call_ahead

MAPPINGS, INDEXES = "mappings", "mappings_indexes"


@dataclass(frozen=True)
class CohortFiles:
    """The files of a cohort.

    Attributes:
        samples: files paired with their indexes, in output order.
        described: the BAM and CRAM files and their indexes, by ID.
        tables: existing count tables.
        bed: path of the BED file; None if there is none.
    """

    samples: Sequence[Sample]
    described: Mapping[str, PlatformFile]
    tables: Sequence[Table] = ()
    bed: Path | None = None

    def fetch(self, number: int, folder: Path) -> InputFiles | NotCounted:
        """Returns the files of a sample: a link to stream its BAM or CRAM, and its index.

        Args:
            number: sample number.
            folder: where to download the index.

        Returns:
            The files, or the reason why the sample cannot be read.
        """
        sample = self.samples[number]
        if sample.fault:
            return NotCounted(sample.fault)
        mappings, index = (
            self.described[id_of(file.link)] for file in (sample.mappings, sample.index)
        )
        try:
            url = streaming_url(mappings)
            path = download_input(index, _folder_of(number, folder))
        except InputError as error:
            return not_counted(error)
        streamed = StreamedFile(mappings.local_name, mappings.size, url)
        return InputFiles(streamed, path, self.bed)


def describe_cohort(request: CohortRequest, folder: Path) -> CohortFiles:
    """Describes the inputs, downloads all but the samples, and pairs samples with indexes.

    Args:
        request: what the user asks for.
        folder: where to download them.

    Raises:
        InputError: a sheet, table or BED file is wrong, or an index is missing or ambiguous.
    """
    sheets = [("sample_sheets", link) for link in request.sample_sheets]
    tables = [("counts_tables", link) for link in request.counts_tables]
    bed = [("regions_bed", request.regions_bed)] if request.regions_bed else []
    described = describe_files([*sheets, *tables, *bed])
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        # Several files may have the same name.
        folders = (folder / f"input{number}" for number in range(len(described)))
        paths = list(threads.map(download_input, described, folders))
    of_sheets, rest = described[: len(sheets)], described[len(sheets) :]
    rows = [
        row
        for file, path in zip(of_sheets, paths, strict=False)
        for row in parse_sheet(path.read_bytes(), file.name)
    ]
    given = _Descriptions()
    mappings = given.describe(MAPPINGS, [*request.mappings, *(row.mappings for row in rows)])
    indexes = given.describe(INDEXES, [*request.mappings_indexes, *(row.index for row in rows)])
    number, of_number = len(request.mappings), len(request.mappings_indexes)
    samples = pair_by_name(mappings[:number], indexes[:of_number])
    for row, file, index in zip(rows, mappings[number:], indexes[of_number:], strict=True):
        samples.append(Sample(row.sample or name_without_suffix(file.name), file, index))
    filters = request.of_sample.filters
    opened = [
        open_table(path, file.name, file.description.get("details"), filters)
        for file, path in zip(rest[: len(tables)], paths[len(sheets) :], strict=False)
    ]
    return CohortFiles(samples, given.files, opened, paths[-1] if bed else None)


def describe_samples(samples: Iterable[Sample], bed: Path | None) -> CohortFiles:
    """Describes samples that were paired by an earlier job; used by jobs that count a share."""
    samples = list(samples)
    given = _Descriptions()
    mappings = given.describe(MAPPINGS, [sample.mappings.link for sample in samples])
    indexes = given.describe(INDEXES, [sample.index.link for sample in samples])
    described = [
        Sample(sample.name, file, index)
        for sample, file, index in zip(samples, mappings, indexes, strict=True)
    ]
    return CohortFiles(described, given.files, bed=bed)


class _Descriptions:
    """Describes the files of samples.

    Attributes:
        files: those that could be described, by ID.
    """

    def __init__(self) -> None:
        self.files: dict[str, PlatformFile] = {}

    def describe(self, field: str, links: Sequence[Link]) -> list[SampleFile]:
        """Returns the files behind these links; unreadable ones carry the reason."""
        described = describe_each([(field, link) for link in links], parts=field == INDEXES)
        return list(map(self._file, links, described))

    def _file(self, link: Link, file: PlatformFile | InputError) -> SampleFile:
        if isinstance(file, InputError):
            return SampleFile(link, id_of(link), fault=str(file))
        self.files[file.id] = file
        try:
            check_readable(file)
            fault = ""
        except InputError as error:
            fault = str(error)
        folder = str(file.description.get("folder", "/"))
        return SampleFile(link, file.name, folder, file.size, fault)


def fetch_ahead(
    files: CohortFiles, numbers: Sequence[int], folder: Path, ahead: int
) -> Iterator[tuple[int, InputFiles | NotCounted]]:
    """Yields the number and files of each sample, in order; fetches those of the next meanwhile.

    Args:
        files: files of the cohort.
        numbers: sample numbers.
        folder: where to download the indexes; remove_files() deletes them.
        ahead: how many samples to prefetch.
    """
    return call_ahead(lambda number: (number, files.fetch(number, folder)), numbers, ahead)


def remove_files(number: int, folder: Path) -> None:
    """Deletes the files of a sample from the worker's disk."""
    shutil.rmtree(_folder_of(number, folder), ignore_errors=True)


def _folder_of(number: int, folder: Path) -> Path:
    return folder / f"sample{number}"


def download_from(link: Link, field: str, path: Path) -> Path:
    """Downloads a file created by a job; returns its path."""
    (file,) = describe_files([(field, link)])
    return download(file, path)
