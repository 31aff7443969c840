"""A page to try metrics on, in the browser."""
