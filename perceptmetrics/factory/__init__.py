"""From a name or a specification to a metric: the only room that opens weight files and builds models from them.

Does not know what metrics are used for: scoring, training and export build on it.
"""
