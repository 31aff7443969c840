"""Metrics inside other libraries. Each module bears the name of its library, which only it may import."""
