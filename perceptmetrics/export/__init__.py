"""Write finished metrics: collect trained parts, write and verify a folder, convert, publish, and export programs.

Knows nothing of training and of scoring in bulk.
"""
