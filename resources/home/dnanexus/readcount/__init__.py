"""Counts the records of a BAM or CRAM in each region, with samtools on several cores.

Data goes one way, from stage to stage; a stage imports from earlier ones only.

- formats: bytes -> what a file is, index entries, containers, BGZF blocks.
- request: the job's input -> `Request`, checked once; header names -> `RegionList`, in columns.
- source: files, downloaded or streamed -> `Alignments`: header, index statistics, evidence.
- planning: regions and statistics -> `Plan` of tasks that cost about the same; merges counts. Pure.
- counting: tasks -> `TaskCounts`, by samtools calls in a Pool.
- verification: merged counts, or the index, and evidence -> `VerifiedCounts`, or an error. Pure.
- outputs: `VerifiedCounts` -> the texts of the output files. Pure.

`dnanexus` is the platform's side: downloads, uploads, subjobs. `errors` has the kinds of failure.
"""
