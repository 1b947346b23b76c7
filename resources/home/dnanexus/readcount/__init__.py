"""Counts the records of a BAM or CRAM in each region, with samtools on several cores.

Data flows one way, from stage to stage; each stage imports only from earlier ones.

- formats: bytes -> file type, index entries, containers, BGZF blocks.
- request: the job's input -> `Request`, checked once.
- source: files, downloaded or streamed -> `Alignments`: header, record locations, evidence.
- regions: the request and the header -> `RegionList`, stored as columns; counts of regions.
- planning: regions and record locations -> `Plan` of tasks of about equal cost; merges counts.
  Pure.
- counting: tasks -> `TaskCounts`, by samtools calls in a Pool, each reading parts of the file.
- verification: merged counts and evidence -> `VerifiedCounts`, or an error. Pure.
- outputs: `VerifiedCounts` -> the output files.
- cohort: many samples, each through all stages above -> columns, a matrix, a table of samples.

`dnanexus` talks to the platform: inputs, outputs and errors of a job; `platform_files` describes,
downloads and links files; `subjobs` starts subjobs; `cohort_files` and `cohort_subjobs` do so for
cohorts. Open to all stages: `errors`, `text`, `samtools`, `columns`, `threads`.
"""

import os

# numpy starts a thread per core when it is imported, and forking a process with threads can
# deadlock. The few matrix products here need no threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
