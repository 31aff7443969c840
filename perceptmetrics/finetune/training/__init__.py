"""One training: steps, epochs, validation, the state to resume from, and the trainings of one model in a row.

Knows nothing of other splits and learning rates, of results on test images, and of export.
"""
