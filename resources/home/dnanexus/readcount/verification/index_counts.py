"""Counts that are the numbers of the index: no record is read to be counted."""

from readcount.errors import InputError
from readcount.planning.merge import RegionCounts
from readcount.request.region import UNPLACED
from readcount.request.region_list import RegionList
from readcount.request.request import span_not_in_index
from readcount.source.evidence import Evidence
from readcount.text import plural
from readcount.verification.verify import VerifiedCounts


def counts_of_index(regions: RegionList, evidence: Evidence) -> VerifiedCounts:
    """Returns the numbers that the index, or the containers of a CRAM, have for regions.

    Args:
        regions: whole reference sequences, and UNPLACED.
        evidence: of the file.

    Raises:
        InputError: there is no number for a region, or it cannot be right.
    """
    for at in regions.spans():
        raise span_not_in_index(str(regions[at]))
    known = dict(evidence.statistics())
    unplaced = evidence.unplaced()
    if unplaced is not None:
        known[UNPLACED.contig] = unplaced
    unknown = [contig for contig in regions.used_contigs() if contig not in known]
    if unknown:
        raise InputError(
            f"counts_from: {evidence.why_unknown(unknown)} Set counts_from to 'records'."
        )
    checks = evidence.check_unread()
    counts = RegionCounts(regions, (known[regions.contigs[number]] for number in regions.numbers))
    numbers = f"counts of {plural(len(counts), 'region')} are the numbers of the {evidence.source}"
    return VerifiedCounts(counts, (numbers, *checks))
