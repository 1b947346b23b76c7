"""Patterns of all error messages: the input, what is wrong with it, what to do.

Tests that expect an error check its message with is_a_known_message(), so that all messages and
their error types are listed here.
"""

import re

FILE = r"\S.*"
INPUT = r"(mappings_sorted_bam|mappings_sorted_bai|regions_bed|counts)"
BAM_AND_INDEX = r"Upload .* again, (with|and) an index made from it with 'samtools index'\."
NEW_INDEX = r"Provide the index of this file, or omit mappings_sorted_bai to have one created\."
HINT = r"(Did you mean .*\? )?"

MESSAGES = {
    # The user can fix the input.
    "AppError": [
        rf"mappings_sorted_bam: {FILE} is .*, not a BAM or CRAM file\. Provide a coord",
        rf"mappings_sorted_bam: {FILE} is a BAM file .* BGZF.*\. Convert it with: .*samtools view",
        rf"mappings_sorted_bam: {FILE} is truncated or corrupt \(no end-of-file .*\)\. Upload it",
        rf"mappings_sorted_bam: {FILE} is corrupt: its header cannot be read \(.*\)\. Upload it ag",
        rf"mappings_sorted_bam: {FILE} is corrupt: .*\. Upload it again\.",
        rf"mappings_sorted_bam: {FILE} has a malformed header: .*\. Correct it with 'samtools rehe",
        rf"mappings_sorted_bam: {FILE} is not coordinate-sorted\. Sort it with: samtools sort -o",
        rf"mappings_sorted_bam: {FILE} has more than one reference sequence .* 'samtools reheader'",
        rf"mappings_sorted_bam: {FILE} has a reference sequence '\*' in its header\. .* reheader'",
        rf"mappings_sorted_bam: {FILE} is of CRAM version .*, and only version 3 can be counted\. ",
        r"mappings_sorted_bam: samtools failed while .*: exit status -?\d+, .*\. .*upload",
        r"mappings_sorted_bam: samtools failed while .*: exit status -?\d+, .*\. .*Upload",
        rf"mappings_sorted_bai: {FILE} is .*, not the index of a (BAM|CRAM) file\. {NEW_INDEX}",
        rf"mappings_sorted_bai: {FILE} is corrupt: .*\. {NEW_INDEX}",
        rf"mappings_sorted_bai: {FILE} does not match {FILE}: .*\. {NEW_INDEX}",
        rf"mappings_sorted_bai: {FILE} is inconsistent for .*: .*\. {NEW_INDEX}",
        rf"mappings_sorted_bai: {FILE} does not match {FILE}, or one of them is corrupt: (the "
        rf"(index lists|containers list) [\d,]+ records? for .*, but [\d,]+ were counted|no record "
        rf"can be read where .*|the file ends (before the index does|within a container)|no "
        rf"container begins at byte \d+)\. {BAM_AND_INDEX}",
        rf"regions: '.*' refers to '.*', which is not in the header of .*\. {HINT}It con",
        r"regions: '.*' is the name of a reference sequence, and also a span .* in braces: ",
        r"regions: '.*' selects unplaced reads; set include_unplaced instead\.",
        r"regions: '.*' is not a region\. Write it as chr1:1000-2000 or \{name\}:1000-2000",
        r"regions: '.*' starts at 0, but positions in a region are 1-based\.",
        r"regions: '.*' is more than one region\. Pass each region separately: -i regions=",
        r"regions(_bed: .*, line [\d,]+)?: '.*' is empty: its end is not after its start\.",
        r"regions_bed: .*, line [\d,]+: '.*' is empty, and tools disagree on what to count there\.",
        r"regions_bed: .*, line [\d,]+: looks like a header line \(.*\)\. Remove it or start it w",
        r"regions_bed: .*, line [\d,]+: looks like a line of a GFF or GTF file \(.*\)\. Convert th",
        r"regions_bed: .*, line [\d,]+: '.*' starts at 0, but positions in an interval list are 1-",
        r"regions_bed: .*, line [\d,]+: a line of an interval list has a reference sequence, start",
        r"regions_bed: .*, line [\d,]+: '.*' is .* bp long in this file but \d+ bp in .*\. Was i",
        r"regions_bed: .* is .*\. Provide a BED file or an interval list\.",
        r"regions(_bed: .*, line [\d,]+)?: '.*' extends beyond the end of .* \([\d,]+ bp\)\. Was",
        r"regions_bed: .*, line [\d,]+: '.*' refers to '.*', which is not in the header of the ",
        r"regions_bed: .*, line [\d,]+: a BED line has at least three columns .*, found '.*'\.",
        r"regions_bed: .*, line [\d,]+: start and end \(columns 2 and 3\) must be whole numbers,",
        r"regions_bed: .* contains no intervals\. Provide at least one\.",
        r"regions_bed: .* is not a text file\. Provide a BED file\.",
        r"regions_bed: .* is truncated or corrupt\. Upload it again\.",
        r"primary_chromosomes_only: no region is on chromosome 1-22, X, Y or M\. The file contai",
        r"windows: must be 0 \(whole regions\) or a positive number of bases, found -",
        r"windows: a size of [\d,]+ bases? results in [\d,]+ windows, and at most [\d,]+ can be",
        r"min_mapping_quality: .* is not a mapping quality\. Use a number from 0 to 255\.",
        r"(require|exclude)_flags: unknown flag in '.*'\. Use names that 'samtools flags' lists",
        r"(require|exclude)_flags: '.*' is too large: FLAG is at most 65535",
        r"read_groups: .* is not a valid read group ID\. Use the ID of an @RG line",
        rf"read_groups: {FILE} has no read group '.*' in its header\. (Use one of: |It has none)",
        r"counts_from: '.*' is not a valid value\. Use 'records' or 'index'\.",
        r"counts_from: 'index' cannot be combined with .*: the index only has the .*\. Set cou",
        r"counts_from: 'index' has no count for '.*', which is only part of .*\. Set counts_from",
        r"counts_from: 'index' requires an index\. Provide mappings_sorted_bai, or set counts",
        r"counts_from: the index .* has no statistics for .*\. Set counts_from to 'records'\.",
        rf"counts_from: {FILE} has a record of .* without a position, .*\. Set counts_from to 'rec",
        r"output_prefix: '.*' is not a valid file name prefix\. Use at most 100 characters, no s",
        r"(stream_bam|subjobs): requires an index\. Provide mappings_sorted_bai, or omit ",
        r"subjobs: must be from 0 \(one job\) to 500, found .*\.",
        rf"{INPUT}: {FILE} is archived\. Run 'dx unarchive file-\S+', wait until it is live, a",
        rf"{INPUT}: {FILE} is being unarchived\. Wait until 'dx describe file-\S+' shows that it",
        rf"{INPUT}: {FILE} is (open|closing), not closed: its upload is not complete\. Wait until",
        rf"{INPUT}: {FILE} is flagged as malicious by the platform\. Check where it comes fr",
        rf"{INPUT}: file-\S+ cannot be found, or the job has no access to it\. Check it with 'dx d",
        rf"{INPUT}: {FILE} cannot be downloaded \(.*\)\. Check its state and your access to i",
        r"mappings_sorted_bam: .* cannot be streamed \(.*\): the link to it has expired, .*",
        r"mappings_sorted_bam: .* cannot be streamed: the platform gives no link to it \(.*\)\. R",
        # Messages of a cohort.
        r"mappings: there are no samples\. Provide mappings, sample_sheets or counts_tables\.",
        r"on_failed_sample: '.*' is not a valid value\. Use 'leave_out' or 'fail'\.",
        r"mappings: [\d,]+ of [\d,]+ samples? cannot be counted \(.*\)\. .+: .+\.",
        r"mappings: .* has another reference genome than .*: .* Count samples of one reference gen",
        r"mappings_indexes: there is no index of .*\. Provide an index for each BAM or CRAM",
        r"mappings_indexes: .* has more than one index: .*\. Provide one index for each file, or a",
        r"mappings: .* cannot be the name of a column\. Name the sample in a sample sheet\.",
        r"mappings: more than one sample is named '.*': .*\. Name each sample differently in a sa",
        r"mappings: samples .* have the same file.*\. Provide each file once\.",
        r"sample_sheets: .* is not a text file\. Provide a TSV file\.",
        r"sample_sheets: .* must have the columns sample, mappings and index, or be a TSV of 'dx g",
        r"sample_sheets: .*: one of the columns .* must have the names of indexes .*, and the o",
        r"sample_sheets: .*, line [\d,]+: has \d+ columns, but the header has \d+\. Correct the",
        r"sample_sheets: .*, line [\d,]+: .* must be the ID of a file, such as .*, found '.*'\.",
        r"counts_tables: .* is not a table of counts\. Provide a counts_table of samtools_count o",
        r"counts_tables: .* was made with other filters \(.*\) than this job \(.*\)\. Use the same",
        r"counts_tables: .* is truncated or corrupt\. Provide the file as it was created\.",
        r"counts_tables: .* has a negative count\. Provide the file as it was created\.",
        r"counts_tables: .*, line [\d,]+: is not a row of a table of counts\. Provide the file as ",
        r"counts_tables: .* has (fewer|more) regions than this job \([\d,]+\)\. Use the regions wi",
        r"counts_tables: .*, line [\d,]+: has region '.*' where this job has '.*'\. Use the region",
    ],
    # The worker or the platform failed.
    "AppInternalError": [
        r"mappings_sorted_bam: samtools was killed or ran out of memory while .*\. .* more memory",
        r"mappings_sorted_bam: samtools crashed \(.*\) while .*\. The file may be corrupt: upload",
        rf"mappings_sorted_bam: {FILE} cannot be read over the network: .*\. Run the job again",
        r"mappings_sorted_bam: the inputs need .* GB of disk, but only .* GB are free on the w",
        rf"mappings_sorted_bam: the index of {FILE} cannot be written\. .* more storage",
        r"A counting process ended with exit code .*: it was killed, or the worker ran out of me",
        r"The disk of the worker is full\. .* more storage",
        r"The counts of subjob \d+ of \d+ (cannot be read|are incomplete|are those of .*)\. Run",
        r"There are counts of [\d,]+ subjobs instead of [\d,]+\. Run the job again\.",
        r"This job has planned the count in another way than the job that started it\. Run the job",
        r"samtools is not installed on this worker\. .* build it again with 'dx build'\.",
        r"samtools .* is not supported: the applet needs samtools 1\.16 or later\. ",
    ],
}


def is_a_known_message(message: str, kind: str) -> bool:
    """Whether each line of a message matches a pattern of this error type."""
    return all(
        any(re.match(pattern, line, re.DOTALL) for pattern in MESSAGES[kind])
        for line in message.split("\n")
    )
