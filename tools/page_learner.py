"""How well the learner of the page learns: in headless Chromium, from a file, without a network.

For each seed the figure of Chapter 10 is trained until its mean over 50 batches passes the goal, or the time
is up. Meanwhile somebody clicks, and the time from each click to the next picture on the screen is taken.
`make learner` runs five seeds; give others as arguments.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Frame, sync_playwright

from bpa.show.learner import SMALL, train_in_page

FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-gpu", "--disable-sync"]
LATENCIES = """() => {
  window.latencies = [];
  addEventListener("click", ({ timeStamp }) => requestAnimationFrame(() =>
    setTimeout(() => window.latencies.push(performance.now() - timeStamp))), true);
}"""


def cpu_seconds(browser: Browser) -> float:
    """CPU time of all processes of the browser up to now."""
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in processes)


def number(frame: Frame, name: str) -> float:
    """The first number in an element; 0 if there is none yet."""
    first = (frame.locator(f"#{name}").text_content() or "").split(" ")[0]
    return float(first) if first.replace(".", "").isdigit() else 0.0


def learn(browser: Browser, folder: Path, seed: int, goal: float, limit: float) -> bool:
    """Train with one seed and print a line; whether the goal was passed in time."""
    page = browser.new_page(viewport={"width": 900, "height": 1400})
    page.context.set_offline(True)
    path = folder / f"{seed}.html"
    live = train_in_page(SMALL.replace(seed=seed))
    path.write_text(
        f"<!doctype html><meta charset=utf-8>{live._repr_html_()}", encoding="utf-8", newline="\n"
    )
    page.goto(path.as_uri())
    frame = page.frames[1]
    frame.locator("#run:enabled").wait_for()
    frame.evaluate(LATENCIES)
    began = time.perf_counter()
    frame.locator("#run").click()
    first = None
    while True:
        page.wait_for_timeout(250)
        frame.locator("#walk").click()
        seconds, mean, iteration = (
            time.perf_counter() - began,
            number(frame, "mean"),
            number(frame, "iteration"),
        )
        if first is None and iteration >= 20:
            first = mean
        if mean > goal or seconds > limit or frame.locator("#run").is_disabled():
            break
    cpu = cpu_seconds(browser)
    latencies = sorted(frame.evaluate("window.latencies"))
    page.close()
    print(
        f"seed {seed}: {first or 0:5.1f} at first, {mean:5.1f} after {iteration:4.0f} iterations, "
        f"{seconds:5.1f} s, {cpu:5.1f} s of CPU time; "
        f"{len(latencies)} clicks answered in {statistics.median(latencies):.0f} ms, "
        f"95% within {latencies[int(0.95 * len(latencies))]:.0f}, all within {latencies[-1]:.0f}",
        flush=True,
    )
    return mean > goal and first is not None and first < 20


def main() -> None:
    """Run the seeds; exit code 1 unless four of five pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--goal", type=float, default=100.0, help="reward per episode to pass")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for each seed")
    given = parser.parse_args()
    chromium = os.environ.get("BPA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium is on the path (or in BPA_CHROMIUM)")
    flags = [*FLAGS, "--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else FLAGS
    passed = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for seed in given.seeds:
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            passed += learn(browser, Path(folder), seed, given.goal, given.limit)
            browser.close()
    print(f"{passed} of {len(given.seeds)} seeds: below 20, then above {given.goal:g} in {given.limit:g} s")
    print(f"load average at the end {os.getloadavg()[0]:.1f}")
    sys.exit(0 if passed >= 0.8 * len(given.seeds) else 1)


if __name__ == "__main__":
    main()
