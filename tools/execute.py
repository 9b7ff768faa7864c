"""Run the pages of the book that have code, several at once, into the cache that `jupyter-book build` reads.

`make book` calls this before it builds.  The cache is emptied first: it would not notice an edit to `bpa`.  A
page that is missing in it is run by the build itself, one after the other.

A page fails by the rules of `make test`: by a cell that raises, that takes longer than the book's timeout, or
that writes to stderr, even if it hides its output from the page.  It fails too by a printed line that is cut
off on a laptop.
"""

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.cache.db import NbProjectRecord
from jupyter_cache.executors.basic import ExecutionWorkerLocalSerial, ProcessData
from myst_nb.core.read import is_myst_markdown_notebook
from nbformat import NotebookNode
from prepare import prepare
from sphinx_external_toc.parsing import parse_toc_yaml

BOOK = Path(__file__).parents[1] / "book"
CACHE = Path("_build", ".jupyter_cache")  # where myst-nb looks
COLUMNS = 78  # of a printed line; one more is wider than the text of a page at 1280 pixels
READERS = {".ipynb": "nbformat", ".md": "myst_nb_md"}


def pages_with_code(book: Path) -> Iterator[Path]:
    """The notebooks in the table of contents, and the Markdown pages that are notebooks too."""
    for name in parse_toc_yaml(book / "_toc.yml"):
        notebook, page = book / f"{name}.ipynb", book / f"{name}.md"
        if notebook.exists():
            yield notebook
        elif page.exists() and is_myst_markdown_notebook(page.read_text(encoding="utf-8-sig")):
            yield page


def stated_seconds(page: Path) -> int:
    """What the head of a page says about its time to run; 0 if it says nothing."""
    found = re.search(r"about (\d+) seconds", page.read_text(encoding="utf-8-sig"))
    return int(found[1]) if found else 0


def wrongs(executed: NotebookNode) -> str:
    """What cells and widgets of a page did wrong: exceptions, stderr, printed lines too wide; or nothing."""
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    for widgets in executed.metadata.get("widgets", {}).values():
        for model in widgets["state"].values():  # a widget keeps what its callback wrote
            outputs += model["state"].get("outputs", [])
    texts = []
    for output in outputs:
        if output["output_type"] == "error":
            texts += [*output["traceback"], ""]
        elif output.get("name") == "stderr":
            texts.append(output["text"])
    for cell in executed.cells:
        if cell.get("outputs") and "remove-output" not in cell.metadata.get("tags", []):
            printed = "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout")
            wide = [line for line in printed.splitlines() if len(line) > COLUMNS]
            texts += [f"more than {COLUMNS} characters in a line: {line}\n" for line in wide]
    return "\n".join(texts)


def execute(book: Path, jobs: int) -> list[Path]:
    """Fill the cache, longest page first, so that no long one is left for the end.  Returns what failed."""
    config = yaml.safe_load((book / "_config.yml").read_text(encoding="utf-8-sig"))
    timeout = config["execute"]["timeout"]
    cache = get_cache(book / CACHE)
    cache.clear_cache()
    pages = sorted(pages_with_code(book), key=stated_seconds, reverse=True)
    records = [  # all of them before the first thread: the first one makes the database
        cache.add_nb_to_project(str(page), read_data={"type": "plugin", "name": READERS[page.suffix]})
        for page in pages
    ]
    worker = ExecutionWorkerLocalSerial(logging.getLogger("execute"))

    def run(record: NbProjectRecord) -> bool:
        started = time.monotonic()
        failure, uri = worker(ProcessData(record.pk, record.uri, cache, timeout, allow_errors=False))
        if not failure:
            bundle = cache.get_cache_bundle(cache.get_cached_project_nb(record.pk).pk)
            failure = wrongs(bundle.nb)
            print(failure, end="", file=sys.stderr)
        outcome = "failed after" if failure else "ran in"
        print(f"{Path(uri).name} {outcome} {time.monotonic() - started:.0f} seconds", flush=True)
        return not failure

    with ThreadPoolExecutor(jobs) as pool:  # a thread waits for its kernel, which is a process of its own
        return [page for page, fine in zip(pages, pool.map(run, records), strict=True) if not fine]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--book", type=Path, default=BOOK, help="folder of the book")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="pages at once (one a core)")
    arguments = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a page may say what the console cannot encode
    prepare()
    # PyTorch's threads of one page would only get into the way of the other pages.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if failed := execute(arguments.book, arguments.jobs):
        sys.exit("These pages failed, see above: " + ", ".join(str(page) for page in failed))


if __name__ == "__main__":
    main()
