"""Turn a name or a specification into a metric: the only room that builds models from weights.

Knows nothing of scoring, training and export, which build on it.
"""
