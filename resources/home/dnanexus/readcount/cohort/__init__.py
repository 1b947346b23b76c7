"""Many samples in one job: a matrix of regions by samples, and statistics of the samples.

Each sample goes through the same stages as a single file in samtools_count; the result is a column
of verified counts. This stage pairs files with their indexes, stores the columns on disk, and
writes the matrix, the table of samples, the sheet of failed samples, the statistics and the report.
"""
