"""What a training shows and compares: checks of labels, splits and batches, samples, losses.

Knows nothing of the model that is trained.
"""
