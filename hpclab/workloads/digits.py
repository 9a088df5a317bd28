"""A small convolutional network on scikit-learn's 1,797 images of handwritten digits, 8 × 8 pixels each."""

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """Images (batch, 1, 8, 8) in, logits of ten digits (batch, 10) out."""

    def __init__(self, channels: int = 16, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(),
                nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(2 * channels * 16, 64), nn.ReLU(), nn.Linear(64, 10),
            )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def images(train: bool = True) -> tuple[Tensor, Tensor]:
    """Images from 0 to 1 and their digits: 1,437 to train on, the other 360 to test with."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, digits = load_digits(return_X_y=True)
    parts = train_test_split(pixels / 16, digits, test_size=360, random_state=0, stratify=digits)
    images, answers = (torch.tensor(one) for one in (parts[::2] if train else parts[1::2]))
    return images.float().view(-1, 1, 8, 8), answers
