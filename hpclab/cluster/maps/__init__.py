"""Tasks on many items: packed, handed out, watched, and written down as records and a trace."""
