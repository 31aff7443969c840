"""Weight files: resolve, verify, cache, read without executing anything, and map foreign layouts to ours.

Knows names and shapes of tensors; it does not know the modules that take them.
"""
