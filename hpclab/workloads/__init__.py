"""What the lessons train: a GPT-style transformer."""
