"""Small helpers without a subject of their own: atomic writes, threads, seeding, printable text, silent third parties.

Knows nothing of images, models or metrics.
"""
