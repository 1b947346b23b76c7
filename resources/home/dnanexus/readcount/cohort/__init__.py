"""Many samples in one job: one matrix of regions by samples, and what it says about the samples.

Each sample goes through the stages as in the applet for one file; what comes out is a column of
verified counts. This stage pairs files with their indexes, keeps the columns on disk, and writes
the matrix, the table of samples, the sheet of those that failed, the statistics and the report.
"""
