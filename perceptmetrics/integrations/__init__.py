"""Metrics inside other libraries: each module is named after its library, which nothing else of the package imports."""
