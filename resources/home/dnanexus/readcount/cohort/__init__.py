"""Cohorts: counts of many samples -> what they say about the samples, and a report.

Pure: numbers and strings in memory; the platform's side reads and uploads them.
"""
