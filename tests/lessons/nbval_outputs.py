"""A plugin for the pytest that runs nbval: keeps what each cell showed, in the file named by CELLS_SHOWED."""

import json
import os
from pathlib import Path

SHOWED: dict[str, list] = {}


def pytest_runtest_teardown(item):
    if cell := getattr(item, "cell", None):
        SHOWED[cell["id"]] = item.test_outputs or []


def pytest_sessionfinish():
    Path(os.environ["CELLS_SHOWED"]).write_text(json.dumps(SHOWED), encoding="utf-8")
