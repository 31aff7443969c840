"""The modules that a metric is made of (views, encoders, heads, pool) and the metric itself.

Knows tensors and specifications; it does not know where weights come from or what a metric is called.
"""
