"""Outputs: `VerifiedCounts` -> the texts of count file, table, MultiQC file and report.

Pure, except that `files` writes them to the current folder, and bedGraph is compressed and indexed
there; the platform's side uploads them.
"""
