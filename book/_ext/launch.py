"""Sphinx extension: buttons that open a chapter elsewhere, once `_config.yml` has an address.

The theme has such buttons too, but stops the build where no address is set, and knows three hosts only.
Ours are links and pictures that lie beside the page: until one is pressed, nothing is asked of another host.
"""

import re
import sys
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlencode

import yaml
from sphinx.errors import ConfigError

# The tool that carries the address to everything else reads it here too.
sys.path.append(str(Path(__file__).parents[2] / "tools"))
from address import read_address

BRANCH = re.compile(r"[\w][\w./-]*")
HUB = re.compile(r"https?://[\w.:-]+(/[\w.~-]+)*")
BINDER = "https://mybinder.org/v2"
COLAB = "https://colab.research.google.com/github"


def read_place(config):
    """Address, branch and JupyterHub that a `_config.yml` names; ConfigError if one of them cannot be one."""
    try:
        address = read_address(config)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    settings = yaml.safe_load(config.read_text(encoding="utf-8-sig"))
    branch, hub = settings.get("branch") or "main", settings.get("jupyterhub") or ""
    if not isinstance(branch, str) or not BRANCH.fullmatch(branch):
        raise ConfigError(f"branch must be the name of a branch or tag, got {branch!r}")
    if hub and (not isinstance(hub, str) or not HUB.fullmatch(hub.rstrip("/"))):
        raise ConfigError(f"jupyterhub must be https://HOST or empty, got {hub!r}")
    return address, branch, hub.rstrip("/")


def links(address, branch, hub, path):
    """Where a file of the repository can be opened: address by name of the service.

    Colab reads from GitHub only; Binder from every host, from two of them by shorter names; a JupyterHub,
    which needs nbgitpuller, from every host.
    """
    host, project = address.removeprefix("https://").split("/", 1)
    lab = f"lab/tree/{path}"
    found = {}
    if host == "github.com":
        found["Colab"] = f"{COLAB}/{project}/blob/{quote(branch)}/{quote(path)}"
    known = {"github.com": f"gh/{project}", "gitlab.com": f"gl/{quote(project, safe='')}"}
    source = known.get(host, f"git/{quote(address, safe='')}")
    found["Binder"] = f"{BINDER}/{source}/{quote(branch, safe='')}?{urlencode({'urlpath': lab})}"
    if hub:
        wanted = {"repo": address, "branch": branch, "urlpath": f"lab/tree/{project.rsplit('/')[-1]}/{path}"}
        found["JupyterHub"] = f"{hub}/hub/user-redirect/git-pull?{urlencode(wanted)}"
    return found


ICONS = {"Colab": "logo_colab.png", "Binder": "logo_binder.svg", "JupyterHub": "logo_jupyterhub.svg"}


def add_buttons(place, app, pagename, templatename, context, doctree):
    """Put the group of buttons before the others, on pages that are notebooks."""
    page = Path(app.env.doc2path(pagename))
    if doctree is None or page.suffix != ".ipynb":
        return
    path = page.relative_to(Path(app.srcdir).parent).as_posix()
    buttons = [
        {
            "type": "link",
            "text": service,
            "tooltip": f"Open this chapter in {service}",
            "icon": f"_static/images/{ICONS[service]}",  # the theme's own
            "url": url,
        }
        for service, url in links(*place, path).items()
    ]
    context["header_buttons"].insert(
        0,
        {
            "type": "group",
            "tooltip": "Open this chapter elsewhere",
            "icon": "fas fa-rocket",
            "buttons": buttons,
            "label": "launch-buttons",
        },
    )


def setup(app):
    """Connect after the theme, which fills the header at 501; not at all while no address is set."""
    place = read_place(Path(app.srcdir, "_config.yml"))
    if place[0]:
        app.connect("html-page-context", partial(add_buttons, place), priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
