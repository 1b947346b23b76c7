"""Recognizes the primary chromosomes of the human genome by name."""

import re

_PRIMARY_CHROMOSOME = re.compile(r"(chr)?([1-9]|1[0-9]|2[0-2]|X|Y|M|MT)")
# Accessions of chromosomes 1 to 22, X and Y and of the mitochondrial genome: in RefSeq (GRCh37 and
# GRCh38, then T2T-CHM13) and in GenBank.
PRIMARY_ACCESSIONS = {
    *(f"NC_{number:06}" for number in [*range(1, 25), 12920, 1807, *range(60925, 60949)]),
    *(f"CM{number:06}" for number in range(663, 687)),
    *(f"CP{number:06}" for number in [*range(68254, 68278), 86569]),
    "J01415",
}
# A RefSeq or GenBank accession and its version.
_ACCESSION = re.compile(r"([A-Z]{1,2}_?[0-9]{5,6})\.[0-9]{1,2}")


def is_primary_chromosome(contig: str) -> bool:
    """Whether a name is 1 to 22, X, Y, M or MT, with or without the prefix chr.

    RefSeq and GenBank accessions of these chromosomes in GRCh37, GRCh38 and T2T-CHM13 are
    recognized too.

    >>> [is_primary_chromosome(name) for name in ("chr1", "MT", "NC_000001.11", "chrUn_KI270302v1")]
    [True, True, True, False]
    """
    if _PRIMARY_CHROMOSOME.fullmatch(contig):
        return True
    accession = _ACCESSION.fullmatch(contig)
    return accession is not None and accession[1] in PRIMARY_ACCESSIONS
