"""Many samples in one job: one matrix of regions by samples.

Each sample goes through the stages as in the applet for one file; what comes out is a column of
verified counts. This stage pairs files with their indexes, keeps the columns on disk, and writes
the matrix, the table of samples and the sheet of those that failed.
"""
