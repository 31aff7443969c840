"""Small helpers without a subject of their own: atomic writes, seeding, printable text, quiet third parties.

Knows nothing of images, models or metrics.
"""
