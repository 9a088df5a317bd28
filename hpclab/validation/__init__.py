"""Models against numbers that others published; `reference/` holds those rows, `recorded/` our own runs."""
