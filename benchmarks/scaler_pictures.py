"""Take the README's pictures of the kernel tracer, the node scaler and the training scaler in real runs.

    python benchmarks/scaler_pictures.py [docs/images]

Opens lessons 02, 05 and 08 in JupyterLab and runs all cells. Steps the tracer to its bank conflict; commits a
prediction, sweeps and moves the slider of the scalers; takes a picture of each widget. That is about five
minutes on two cores.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from PIL import Image
from widget_latency import ROOT, driver


def take(notebook, target, asked, guess, slider, points, moves):
    """Run `notebook`, enter `guess` in the field labelled `asked`, sweep `points` points, save a screenshot
    of the scaler to `target`. `moves`: keys for the `slider`, each with the status to wait for, or ""."""
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


def take_tracer(lab, browser, target):
    """Save a screenshot of lesson 02's tracer at the read with bank conflicts, at a device scale of 1.5."""
    plain, lab.context = lab.context, browser.new_context(device_scale_factor=1.5)
    with lab.opened("02_write_a_gpu_kernel.ipynb") as notebook:
        notebook.page.set_viewport_size({"width": 1280, "height": 1200})
        notebook.run_all(300)
        tracer = notebook.cell_with("def turn_tile").locator(".hpclab-widget")
        tracer.get_by_role("slider", name="Step").focus()
        for _ in range(3):
            notebook.page.keyboard.press("ArrowRight")
        tracer.get_by_text("31 of them for conflicts").first.wait_for(state="attached", timeout=60_000)
        notebook.page.mouse.move(0, 0)
        tracer.screenshot(path=target)
        few = Image.open(target).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
        few.save(target, optimize=True)  # a third of the bytes, the same to the eye
        print(target)
    lab.context.close()
    lab.context = plain


def main():
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    browsers = driver()
    with browsers.running_browser() as browser, browsers.running_lab(browser) as lab:
        take_tracer(lab, browser, images / "kernel_tracer.png")
        with lab.opened("05_scale_out_with_dask.ipynb") as notebook:
            # It passes 2 nodes without a run, and rests at 3 and at 4.
            moves = [("ArrowRight", ""), ("ArrowRight", "3 nodes: "), ("ArrowRight", "Done: 2 point")]
            take(notebook, images / "node_scaler.png", "Speedup at 4 nodes", "3", "Nodes", 3, moves)
        with lab.opened("08_train_with_data_parallelism.ipynb") as notebook:
            take(notebook, images / "training_scaler.png", "Weak scaling efficiency", "50", "Ranks", 3, [])


if __name__ == "__main__":
    main()
