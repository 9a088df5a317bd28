"""What the lessons train: a GPT-style transformer, and a small convolutional network on images of digits."""
