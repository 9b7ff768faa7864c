"""Carry the owner's address from the book's `_config.yml` to all who read it, or check that it is there.

The first cell of every chapter is written here, so that all are the same: where `bpa` is missing it installs
it from that address, or, while none is set, says what to do. The links of README.md, pyproject.toml and
CITATION.cff follow too; the book's launch buttons read it themselves. No address is made up: while none is
set, README.md links to no file of the project, since a relative link is dead on the page of a package index;
its picture alone is looked for beside it.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
ALLOWED = re.compile(r"https://[\w.-]+(/[\w.~-]*[\w~-])+")
CELL = "find-bpa"
METADATA = {"jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}  # the page of the book shows nothing
MISSING = """\
try:
    import bpa.checks  # noqa: F401
except ModuleNotFoundError as error:
    how = "%pip install FOLDER, your copy of this project"
    raise ModuleNotFoundError(f"{error}: {how}") from None
"""
INSTALL = """\
try:
    import bpa.checks  # noqa: F401
except ModuleNotFoundError:
    import importlib
    import subprocess
    import sys

    address = "ADDRESS"
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    command = [*pip, f"backpropamine @ git+{address}"]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()
"""


def read_address(config: Path) -> str:
    """The address that a `_config.yml` names, or "" while none is set; ValueError if it is no address."""
    address = yaml.safe_load(config.read_text(encoding="utf-8-sig")).get("address")
    if not address:
        return ""
    if not isinstance(address, str) or not ALLOWED.fullmatch(address):
        raise ValueError(f"address must be https://HOST/OWNER/NAME or empty, got {address!r}")
    return address.removesuffix(".git")


def with_cell(text: str, address: str) -> str:
    """A notebook whose first cell of code finds bpa."""
    notebook: dict[str, Any] = json.loads(text)
    cells = [cell for cell in notebook["cells"] if cell["id"] != CELL]
    place = next((n for n, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    source = (INSTALL.replace("ADDRESS", address) if address else MISSING).rstrip("\n")
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": CELL,
        "metadata": METADATA,
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
    notebook["cells"] = [*cells[:place], cell, *cells[place:]]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def with_links(text: str, address: str, root: Path) -> str:
    """A page where every file that it names in code is a link, or none of them while there is no address.

    The pictures of the project lie beside the page, or at the address.
    """
    raw = f"{address}/raw/HEAD/" if address else ""
    text = re.sub(r'(<img src=")(?:https://[^"\n]+/raw/HEAD/)?(?!\w+:)', rf"\g<1>{raw}", text)
    text = re.sub(r"\[(`[^`\n]+`)\]\(https://[^)\n]+/blob/HEAD/[^)\n]+\)", r"\1", text)
    if not address:
        return text

    def link(found: re.Match[str]) -> str:
        name = found[1]
        return f"[`{name}`]({address}/blob/HEAD/{name})" if (root / name).is_file() else found[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)  # blocks of code stay
    return "".join(part if part.startswith("```") else re.sub(r"`([\w./-]+)`", link, part) for part in parts)


def with_urls(text: str, address: str) -> str:
    """A pyproject.toml that names the address, or none."""
    text = re.sub(r'^\[project\.urls\]\nRepository = ".*"\n\n', "", text, flags=re.MULTILINE)
    urls = f'[project.urls]\nRepository = "{address}"\n\n' if address else ""
    return text.replace("[project.scripts]\n", f"{urls}[project.scripts]\n")


def with_repository(text: str, address: str) -> str:
    """A CITATION.cff that names the address, or none."""
    text = re.sub(r"^repository-code: .*\n", "", text, flags=re.MULTILINE)
    line = f"repository-code: {address}\n" if address else ""
    return re.sub(r"^(license: .*\n)", rf"\g<1>{line}", text, flags=re.MULTILINE)


def written(root: Path, address: str) -> dict[Path, str]:
    """What every file that depends on the address must say."""
    texts = {
        path: path.read_text(encoding="utf-8-sig")
        for path in sorted((root / "book" / "chapters").glob("*.ipynb"))
    }
    texts = {path: with_cell(text, address) for path, text in texts.items()}
    readme, project, citation = (root / name for name in ("README.md", "pyproject.toml", "CITATION.cff"))
    return texts | {
        readme: with_links(readme.read_text(encoding="utf-8-sig"), address, root),
        project: with_urls(project.read_text(encoding="utf-8-sig"), address),
        citation: with_repository(citation.read_text(encoding="utf-8-sig"), address),
    }


def main() -> int:
    """Write or check; 1 if the check fails, 2 if the address is none."""
    parser = argparse.ArgumentParser(description="Carry the owner's address to all who read it, or check it.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file would change"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    config = options.root / "book" / "_config.yml"
    try:
        address = read_address(config)
    except ValueError as error:
        print(f"{config}: {error}", file=sys.stderr)
        return 2
    texts = written(options.root, address)
    changed = {path: text for path, text in texts.items() if path.read_text(encoding="utf-8-sig") != text}
    if not options.check:
        for path, text in changed.items():
            path.write_text(text, encoding="utf8", newline="\n")
        return 0
    for path in changed:
        print(f"{path.relative_to(options.root)} does not follow the address: make format writes it")
    if not changed:
        print("Chapters, README.md, pyproject.toml and CITATION.cff follow the address")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
