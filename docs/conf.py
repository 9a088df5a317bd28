"""Sphinx's settings for the course as pages: `make site` (docs/pages.py) prepares what they read."""

import os

from docutils.nodes import SkipNode, math_block
from docutils.utils.math.latex2mathml import tex2mathml

project = html_title = "hpclab"
copyright = "The hpclab authors. Code: Apache-2.0. Prose, figures and notebooks: CC BY 4.0"
extensions = ["myst_nb"]
nb_execution_mode = "off"  # docs/pages.py runs the lessons, as `hpclab rehearse` does
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "sphinx_book_theme"
html_static_path = ["pages.css"]
html_css_files = ["pages.css"]
html_math_renderer = "mathml"
html_use_index = html_copy_source = html_show_sphinx = False
html_context = {"default_mode": "light"}
repository = os.environ.get("HPCLAB_REPOSITORY", "")
html_theme_options = {
    "home_page_in_toc": True, "use_download_button": False, "footer_content_items": ["copyright.html"],
    "navbar_persistent": [],  # one search box is enough
    "use_repository_button": bool(repository),
    "repository_url": f"https://github.com/{repository}" if repository else "",
}  # fmt: skip


def _formula(self, node):
    """As MathML, which browsers draw and screen readers read without a script."""
    block = isinstance(node, math_block)
    tag = "div" if block else "span"
    self.body.append(f'<{tag} class="math">{tex2mathml(node.astext(), as_block=block)}</{tag}>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
