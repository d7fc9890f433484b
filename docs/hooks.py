"""What MkDocs does besides: links to files of the project outside docs/ are checked, and shown as plain text.

Such links are for readers of the repository; a site that lies alone has nothing to link to.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.utils import get_relative_url

SHIM = re.compile(r"https://[\w.]+/iframe-worker/shim")
ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>\.\.?/[^)#\s]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's Markdown without links that leave docs/.

    Raises:
        PluginError: a link leads to a file that is not there.
    """
    folder = posixpath.dirname(posixpath.join("docs", page.file.src_uri))

    def shown(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["target"]))
        if target.startswith("docs/"):
            return link[0]
        if not (ROOT / target).exists():
            raise PluginError(f"docs/{page.file.src_uri} links to {target}, which does not exist.")
        return link["text"]

    return _LINK.sub(shown, markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """The page with what lets a page opened from a file search, taken from here and not from the network."""
    return SHIM.sub(get_relative_url("assets/worker.js", page.url), output)


def on_post_template(output_content: str, **_: Any) -> str:
    """The same for the page of a wrong address, which only a server shows."""
    return SHIM.sub("/assets/worker.js", output_content)
