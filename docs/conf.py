# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How the manual is built: Markdown pages, and reference pages from the docstrings."""

import itertools
import os
import re
from collections import defaultdict
from enum import Enum
from functools import partial
from typing import Any, Final

import attrs
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

import vmmkit

# A public function that the native engine has in C carries no annotations for the reference.
os.environ["VMMKIT_NATIVE"] = "0"

project = "vmmkit"
author = "vmmkit contributors"
project_copyright = "2026 vmmkit contributors"
version = release = vmmkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

# Single backquotes in docstrings are code, as in every editor; a link is written as a role.
default_role = "literal"
autodoc_member_order = "bysource"
# Several public classes are spread over private bases; their members belong to the class. The
# names are where that ends: a subclass of int is not documented as an integer once more.
autodoc_default_options = {
    "members": True,
    "inherited-members": "object, tuple, int, dict, Enum, Flag, BaseException, Protocol",
}
autodoc_typehints = "signature"
# A default is shown as it is written, by its name, and a long signature one argument a line.
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# The manual is built without a network, so the standard library's index is not at hand: these
# names are right and lead nowhere.
nitpick_ignore_regex = [
    (r"py:.*", r"(abc|array|collections|contextlib|datetime|enum|pathlib|types|typing|uuid)\..*"),
    (r"py:class", r"mmap\.mmap"),
    (r"py:class", "Irqchip"),  # a Literal of the strings that the text names
    (r"py:.*", "Buffer"),
    # Signatures that name it cannot be evaluated, so these stay as they are written.
    (r"py:class", r"datetime|AbstractContextManager"),
    (r"py:exc", r"struct\.error"),
    # Type variables are part of signatures only.
    (
        r"py:class",
        r"(vmmkit\.pci\..*\.)?((Read|Write)(Method|Element)|Owner|Value|AnyCapability|Plugged|Driven_co)",
    ),
    (r"py:class", r"(vmmkit\.acpi\..*\.)?_Arguments"),
    (r"py:class", r"vmmkit\.gdb\.stub\.T"),
    # What servers and stubs are made of inside.
    (r"py:class", r"vmmkit\.gdb\.(listener\.Listener|connection\.StubSurface)"),
    (r"py:exc", r"PacketError"),
    # A union with a Literal reaches the Python domain as one word that is no name.
    (r"py:class", r".*typing\.Literal.*"),
]

html_theme = "furo"
html_title = f"vmmkit {release}"
html_copy_source = False


def keep_prose(
    _app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Let docstrings be plain prose: "`Name`s" is a word, a colon does not make a type.

    napoleon reads the first line of an attribute's docstring, and the one after "Returns:", as
    `type: text`. The types are in the signature, so an empty one goes in front.
    """
    lines[:] = [re.sub(r"(?<=\w`)(?=\w)", r"\\ ", line) for line in lines]
    for number, line in enumerate(lines[:-1]):
        if line.strip() in {"Returns:", "Yields:"}:
            lines[number + 1] = re.sub(r"^(\s*)", r"\1: ", lines[number + 1])
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    if lines and what in {"attribute", "data", "property"}:
        lines[0] = f": {lines[0]}"


def link_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> Any:
    """Link a class that lives in a private module to the public name it is documented under."""
    target = node.get("reftarget", "")
    if not re.match(r"vmmkit\.(.*\.)?_", target):
        return None
    public = re.sub(r"\._\w+", "", target.replace("vmmkit._region", "vmmkit.memregion._region"))
    found = env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], public, node, content
    )
    return found or content


_LONGEST_DEFAULT: Final = 40


def _shown(default: object) -> str:
    """Return what a default looks like in a signature; three dots where that would not help."""
    if isinstance(default, Enum):
        name = type(default).__name__
        return f"{name}.{default.name}" if default.name else f"{name}({default.value})"
    text = hex(default) if type(default) is int and default > 0xFFFF else repr(default)
    return text if len(text) <= _LONGEST_DEFAULT and "<" not in text else "..."


def show_defaults(
    _app: Sphinx,
    _what: str,
    _name: str,
    obj: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str, str | None] | None:
    """Show the defaults of an attrs class, whose method `__init__` is not source that one wrote."""
    if signature is None or not isinstance(obj, type) or not attrs.has(obj):
        return None
    defaults = {field.alias: field.default for field in attrs.fields(obj)}

    def default(match: re.Match[str]) -> str:
        return "= " + _shown(defaults[match[1].lstrip("_")])

    signature = re.sub(r"= ?attr_dict\['(\w+)'\]\.default", default, signature)
    return signature.replace("= NOTHING", "= ..."), returned


def _near(name: str, home: str) -> int:
    """Return how many packages and modules a name has in common with a module."""
    pairs = zip(name.split("."), home.split("."), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


class NearestName(SphinxPostTransform):
    """Give a bare name that several modules have its meaning in the module that is nearest."""

    default_priority = 5  # before references are resolved

    def run(self, **_options: Any) -> None:
        """Complete the names of this page."""
        modules = defaultdict(list)
        for full, entry in self.env.domains["py"].objects.items():  # type: ignore[attr-defined]
            if entry.objtype in {"class", "exception", "data", "type"}:
                modules[full.rpartition(".")[2]].append(full)
        for node in self.document.findall(pending_xref):
            known = modules.get(node["reftarget"], ()) if "refspecific" in node else ()
            if len(known) > 1:
                home = node.get("py:module") or ""
                node["reftarget"] = max(known, key=partial(_near, home=home))


def setup(app: Sphinx) -> None:
    """Hook all into the build, the first one ahead of napoleon."""
    app.connect("autodoc-process-docstring", keep_prose, priority=400)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("missing-reference", link_public_name)
    app.add_post_transform(NearestName)
