"""The README's pictures of the node scaler and of the training scaler, from real runs on this machine.

    python benchmarks/scaler_pictures.py [docs/images]

Opens lesson 05, then lesson 08 in JupyterLab, runs all cells, commits a prediction, sweeps, moves the slider,
and takes a picture of the widget. Takes about five minutes on two cores.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from widget_latency import ROOT, driver


def take(notebook, target, asked, guess, slider, points, moves):
    """`moves`: keys pressed on the slider, and what its status then says, if that is waited for."""
    notebook.page.set_viewport_size({"width": 1280, "height": 1700})
    notebook.run_all(300)
    scaler = notebook.page.locator(".hpclab-scaler")

    def see(text):
        status = scaler.locator(".hpclab-status").get_by_text(re.compile(text))
        status.wait_for(timeout=180_000)

    scaler.get_by_label(asked).fill(guess)
    scaler.get_by_role("button", name="Commit").click()
    scaler.get_by_role("button", name="Sweep all").click()
    see(rf"Done: {points} point")
    scaler.get_by_role("slider", name=slider).focus()
    for key, said in moves:
        notebook.page.keyboard.press(key)
        if said:
            see(said)
    notebook.page.mouse.move(0, 0)
    scaler.evaluate("e => e.scrollIntoView({block: 'center'})")
    notebook.page.wait_for_timeout(1500)  # the last look at the queue
    target.parent.mkdir(parents=True, exist_ok=True)
    scaler.screenshot(path=target)
    print(target)


def main():
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    browsers = driver()
    with browsers.running_browser() as browser, browsers.running_lab(browser) as lab:
        with lab.opened("05_scale_out_with_dask.ipynb") as notebook:
            # It passes 2 nodes without a run, and rests at 3 and at 4.
            moves = [("ArrowRight", ""), ("ArrowRight", "3 nodes: "), ("ArrowRight", "Done: 2 point")]
            take(notebook, images / "node_scaler.png", "Speedup at 4 nodes", "3", "Nodes", 3, moves)
        with lab.opened("08_train_with_data_parallelism.ipynb") as notebook:
            take(notebook, images / "training_scaler.png", "Weak scaling efficiency", "50", "Ranks", 3, [])


if __name__ == "__main__":
    main()
