"""Time the message stepper from key press to changed picture: 16 ranks, in a real Chromium.

Keys are pressed on its Step slider; the time of a press runs, on the browser's clock, from the key's own time
stamp to the first moment after the frame that follows the picture's change. Then it is played, and nothing of
that may be left in the kernel. Target: the slowest step under 100 ms.
"""

import argparse
import json
import sys
import time

from widget_latency import WATCH, driver, press, summary

SOURCE = """
import threading
from hpclab.widgets.message_stepper import MessageStepper
threads = {thread.name for thread in threading.enumerate()}
stepper = MessageStepper()
stepper.controls["ranks"].value = 16
stepper
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=60)
    parser.add_argument("--screenshot", help="where to write a picture of the widget")
    options = parser.parse_args()
    browsers = driver()
    with browsers.running_browser() as browser, browsers.running_lab(browser) as lab:
        lab.write_notebook("stepper.ipynb", SOURCE.strip())
        notebook = lab.open_notebook("stepper.ipynb")
        notebook.run_all(240)
        page = notebook.page
        page.locator(".hpclab-widget svg[role=img]").first.wait_for(timeout=30_000)
        page.evaluate(WATCH, ".widget-html-content:has(> svg[role=img])")
        keys = ["ArrowRight" if n % 30 < 29 else "Home" for n in range(options.presses + 5)]
        times = [press(page, "Step", key) for key in keys][5:]
        page.get_by_role("slider", name="Step").focus()
        page.keyboard.press("Home")
        page.get_by_role("button", name="Play or pause").click()
        browsers.until(lambda: notebook.evaluate("stepper.at.step") >= 3, "three steps are played")
        page.get_by_role("button", name="Play or pause").click()
        stopped = notebook.evaluate("stepper.at.step")
        time.sleep(3)
        played = {
            "stays_paused": notebook.evaluate("stepper.at.step") - stopped <= 1,
            "threads_left": notebook.evaluate(  # but for the one in which JupyterLab serves widgets
                "sorted({t.name for t in threading.enumerate() if t.name[:8] != 'subshell'} - threads)"
            ),
        }
        if options.screenshot:
            page.locator(".hpclab-widget").first.screenshot(path=options.screenshot)
    found = summary(times)
    print(json.dumps(found | played))
    return 0 if found["slowest_ms"] < 100 and played == {"stays_paused": True, "threads_left": []} else 1


if __name__ == "__main__":
    sys.exit(main())
