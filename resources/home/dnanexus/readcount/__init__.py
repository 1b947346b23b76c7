"""Counts the records of a BAM or CRAM in each region, with samtools on several cores.

Data goes one way, from stage to stage; a stage imports from earlier ones only.

- formats: bytes -> what a file is, index entries, containers, BGZF blocks.
- request: the job's input -> `Request`, checked once.
- source: files, downloaded or streamed -> `Alignments`: header, where records are, evidence.
- regions: the request and the header -> `RegionList`, in columns; what regions count.
- planning: regions and where records are -> `Plan` of tasks that cost about the same; merges
  counts. Pure.
- counting: tasks -> `TaskCounts`, by samtools calls in a Pool, which read parts of the file.
- verification: merged counts and evidence -> `VerifiedCounts`, or an error. Pure.
- outputs: `VerifiedCounts` -> the output files.
- cohort: many samples, each through all stages above -> columns, a matrix, a table of samples.

`dnanexus` is the platform's side: downloads, uploads, subjobs; `cohort_files` and `cohort_subjobs`
are that of cohorts. `errors` has the kinds of failure.
"""

import os

# numpy would start a thread for each core when it is imported, and a fork beside threads can
# deadlock. Nothing here multiplies matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
