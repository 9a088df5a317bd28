"""How long training waits for its input, from small files and large ones."""

# Run: python 07_input_wait.py
import os
import sys
import tempfile
import time

import torch
from torch.utils.data import DataLoader, Dataset

SAMPLES, SIZE, BATCH, STEP = 2048, 4096, 64, 0.01  # bytes, seconds of a step


class Files(Dataset):
    def __init__(self, folder, each):  # samples in a file
        self.paths = [f"{folder}/{n}.bin" for n in range(SAMPLES // each)]
        for path in self.paths:
            with open(path, "wb") as file:
                file.write(os.urandom(each * SIZE))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, n):
        with open(self.paths[n], "rb") as file:  # Linux: not from page cache
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)


for each, workers in ((1, 0), (1, 2), (BATCH, 0), (BATCH, 2)):
    with tempfile.TemporaryDirectory(dir=(sys.argv[1:] or [None])[0]) as made:
        data = Files(made, each)
        os.sync()  # or the page cache cannot drop them
        waited, asked = 0.0, time.perf_counter()
        for _batch in DataLoader(data, BATCH // each, num_workers=workers):
            waited += time.perf_counter() - asked
            time.sleep(STEP)  # a step of your model
            asked = time.perf_counter()
    print(f"{each:2} a file, {workers} workers: waited {1e3 * waited:.0f} ms")
