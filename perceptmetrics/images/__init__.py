"""From files, folders, archives and addresses to pixels: find, decode, check, batch.

Does not know what the pixels are for: no models, no metrics.
"""
