"""What people start: the command (`cli`), the web service (`service`) and the web demo (`demo`).

Parses, runs and prints; computes nothing that the rooms below do not offer to Python users too.
"""
