"""Many images: the stream of batches, rows of results and the files that hold them.

Knows any metric or suite; it does not know commands or reports.
"""
