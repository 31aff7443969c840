"""Writing metrics: collect what was trained, write and verify a folder, convert, publish, and export programs.

Knows finished metrics; it does not know how they are trained or scored in bulk.
"""
