"""The page's own programs, run outside a page."""

import json
import os
import shutil
import subprocess

import pytest

from bpa.show import widgets

CHROMIUM = os.environ.get("BPA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def run_javascript(
    script: str, given: object, sources: tuple[str, ...] = ("maze.js", "network.js")
) -> object:
    """The page's own sources, then `script`, a function of `given`; run by node, or else by Chromium."""
    program = "".join(map(widgets.source, sources)) + f"\nconst answer = {script};\n"
    if node := shutil.which("node"):
        program += "console.log(JSON.stringify(answer(JSON.parse(require('fs').readFileSync(0, 'utf8')))));"
        done = subprocess.run(
            [node, "-e", program], input=json.dumps(given), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    if CHROMIUM:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            result = browser.new_page().evaluate(f"given => {{ {program} return answer(given); }}", given)
            browser.close()
            return result
    pytest.skip("neither node nor Chromium is here to run JavaScript")
