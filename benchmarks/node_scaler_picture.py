"""The README's picture of the node scaler, from a real run of lesson 05 on this machine.

    python benchmarks/node_scaler_picture.py [docs/images/node_scaler.png]

Opens the lesson in JupyterLab, runs all its cells, commits a prediction, sweeps the nodes twice with 3 nodes
in between, and takes a picture of the widget. Takes about two minutes on two cores.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from widget_latency import ROOT, driver


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "node_scaler.png"
    browsers = driver()
    with browsers.running_browser() as browser, browsers.running_lab(browser) as lab:
        notebook = lab.open_notebook("05_scale_out_with_dask.ipynb")
        notebook.page.set_viewport_size({"width": 1280, "height": 1700})
        notebook.run_all(300)
        scaler = notebook.page.locator(".hpclab-scaler")

        def done(points):
            line = scaler.locator(".hpclab-status").get_by_text(re.compile(rf"Done: {points} point"))
            line.wait_for(timeout=180_000)

        scaler.get_by_label("Speedup at 4 nodes").fill("3")
        scaler.get_by_role("button", name="Commit").click()
        scaler.get_by_role("button", name="Sweep all").click()
        done(len(notebook.evaluate("experiment.nodes")))
        slider = scaler.get_by_role("slider", name="Nodes")
        slider.focus()
        for key in ("ArrowRight", "ArrowRight"):
            notebook.page.keyboard.press(key)
        scaler.locator(".hpclab-status").get_by_text(re.compile("3 nodes: ")).wait_for(timeout=60_000)
        notebook.page.keyboard.press("ArrowRight")
        done(2)
        notebook.page.mouse.move(0, 0)
        scaler.evaluate("e => e.scrollIntoView({block: 'center'})")
        notebook.page.wait_for_timeout(1500)  # the last look at the queue
        target.parent.mkdir(parents=True, exist_ok=True)
        scaler.screenshot(path=target)
    print(target)


if __name__ == "__main__":
    main()
