"""The model that is trained: its specification from a recipe, how it is built and frozen, its forward pass.

Knows nothing of losses, optimizers and files of a run.
"""
