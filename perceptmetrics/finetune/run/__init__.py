"""A run: the trainings of all splits and learning rates, results on test images, and the metrics that it exports.

Knows nothing of commands, reports and pages.
"""
