"""Collectives as step data: generated once; timed by a model, animated by a figure, executed by ranks."""
