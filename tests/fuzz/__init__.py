"""Fuzzing: whatever a file or a request holds, the package answers, or raises an error of its own.

`python -m tests.fuzz` feeds damaged files and requests to everything that reads what strangers may have made, for as
long as it is told to. The law, for every input: nothing but `PerceptMetricsError` comes out; it takes no more than ten
seconds, and little more memory than the largest image that is allowed; the process survives.
"""
