"""What is counted: reference sequences, regions that the user names, intervals, and windows.

Takes the request and the header's reference sequences; returns a `RegionList`, in columns.
"""
