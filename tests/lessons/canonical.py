"""One way to write a notebook's bytes, so that a change shows as what it is: `make format` writes them so.

    python tests/lessons/canonical.py [--check] [NOTEBOOK ...]

Cells keep their id, source and tags. Outputs and counts go, except in cells tagged nbval-check-output, whose
text is the same on every machine and is compared when the tests run."""

import argparse
import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def canonical(notebook: dict) -> str:
    """The canonical text of a notebook given as parsed JSON."""
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    if "hpclab" in notebook["metadata"]:
        metadata["hpclab"] = notebook["metadata"]["hpclab"]
    cells = [_cell(cell, number) for number, cell in enumerate(notebook["cells"])]
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _cell(cell: dict, number: int) -> dict:
    source = "".join(cell["source"]).rstrip()
    lines = [re.sub(r"[ \t]+$", "", line) for line in source.split("\n")]
    tags = cell["metadata"].get("tags")
    kept = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id", f"cell-{number}"),
        "metadata": {"tags": sorted(tags)} if tags else {},
        "source": [line + "\n" for line in lines[:-1]] + lines[-1:],
    }
    if cell["cell_type"] == "code":
        compared = "nbval-check-output" in (tags or [])
        kept["outputs"] = [_output(output) for output in cell["outputs"]] if compared else []
        kept["execution_count"] = 1 if kept["outputs"] else None  # nbval wants a number beside an output
    return kept


def _output(output: dict) -> dict:
    return output | ({"execution_count": 1} if output["output_type"] == "execute_result" else {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if one differs")
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    options = parser.parse_args()
    differ = []
    for path in options.notebooks:
        text = path.read_text(encoding="utf-8")
        wanted = canonical(json.loads(text))
        if text != wanted:
            differ.append(path.name)
            if not options.check:
                path.write_text(wanted, encoding="utf-8")
    done = "not canonical (make format mends it)" if options.check else "rewritten"
    if differ:
        print(f"{done}: {', '.join(differ)}")
    return int(options.check and bool(differ))


if __name__ == "__main__":
    sys.exit(main())
