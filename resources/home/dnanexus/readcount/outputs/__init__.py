"""Outputs: `VerifiedCounts` -> the texts of count file, table, MultiQC file and report.

Pure: strings in memory; the platform's side uploads them.
"""
