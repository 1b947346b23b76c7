"""The output files: their fields, their names, and the functions that write them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from readcount.outputs.bedgraph import write_bedgraph
from readcount.outputs.multiqc import format_multiqc
from readcount.outputs.report import format_report
from readcount.outputs.result import Result
from readcount.outputs.text import format_counts, format_table
from readcount.request.request import Request


class OutputFile(NamedTuple):
    """An output file with counts.

    Attributes:
        field: its name in the outputSpec of dxapp.json.
        ending: suffix of its name.
        text: function that returns its content from the counts, the name of the input file and the
            base name of the output files.
        wanted: function that returns whether a request asks for it.
    """

    field: str
    ending: str
    text: Callable[[Result, str, str], str]
    wanted: Callable[[Request], bool] = lambda request: True


OUTPUT_FILES = (
    OutputFile("count_file", "_count.txt", lambda result, *_: format_counts(result)),
    OutputFile("counts_table", "_count.tsv", lambda result, *_: format_table(result)),
    OutputFile(
        "multiqc_file", "_count_mqc.tsv", lambda result, _, name: format_multiqc(result, name)
    ),
    OutputFile("report_file", "_count.html", format_report, lambda request: request.report),
)
# Written together: the index is created from the compressed file.
BEDGRAPH_FIELDS = ("bedgraph_file", "bedgraph_index")
BEDGRAPH_ENDING = "_count.bedgraph.gz"


def fields_written(request: Request) -> list[str]:
    """Returns the names of the output fields that are files with counts."""
    fields = [file.field for file in OUTPUT_FILES if file.wanted(request)]
    return [*fields, *BEDGRAPH_FIELDS] if request.bedgraph else fields


def write_outputs(result: Result, request: Request, bam_name: str, name: str) -> dict[str, Path]:
    """Writes the output files to the current folder.

    Args:
        result: the counts.
        request: what the user asks for.
        bam_name: name of the input file.
        name: base name of the output files.

    Returns:
        The files by output field. Local names begin with "output", because `name` could be mistaken
        for a command-line option.
    """
    paths = []
    for file in OUTPUT_FILES:
        if file.wanted(request):
            paths.append(Path(f"output{file.ending}"))
            paths[-1].write_text(file.text(result, bam_name, name), encoding="utf-8")
    if request.bedgraph:
        bedgraph = Path(f"output{BEDGRAPH_ENDING}")
        paths += [bedgraph, write_bedgraph(result, bedgraph)]
    return dict(zip(fields_written(request), paths, strict=True))
