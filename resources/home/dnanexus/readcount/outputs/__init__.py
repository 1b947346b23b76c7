"""Outputs: `VerifiedCounts` -> the texts of count file, table, MultiQC file and report.

Pure, except that `files` writes them to the current folder, where bedGraph is compressed and
indexed. Uploading is done by `dnanexus`.
"""
