"""How pages follow one another: chapters by "Next", runs from their chapter; figures count from 1 on each page."""

from fnmatch import fnmatch

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector


def is_run(docname: str | None) -> bool:
    return bool(docname) and docname.startswith("book/pages/") and "/runs/" in docname


def runs_below(env: BuildEnvironment, chapter: str) -> list[str]:
    """The pages that the table of contents has below a chapter, in its order."""
    entry = getattr(env, "external_site_map", {}).get(chapter)
    wanted = [str(item) for tree in (entry.subtrees if entry else []) for item in tree.items]
    return list(dict.fromkeys(name for item in wanted for name in sorted(env.found_docs) if fnmatch(name, item)))


def neighbours(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """The pages before and after, past all runs; the page of a run leads back to its chapter."""
    relations = getattr(app.builder, "relations", {})
    if pagename not in relations:
        return
    parent, before, after = relations[pagename]
    if is_run(pagename):
        before, after = parent, None
    while is_run(before):
        before = relations[before][1]
    while is_run(after):
        after = relations[after][2]
    for name, page in (("prev", before), ("next", after)):
        context[name] = {"link": app.builder.get_relative_uri(pagename, page),
                         "title": app.builder.render_partial(app.env.titles[page])["title"]} if page else None


def number_by_page(collector: TocTreeCollector, env: BuildEnvironment) -> list[str]:
    """Fig. 1 is the first of its page; returns the pages whose numbers changed."""
    old, env.toc_fignumbers = env.toc_fignumbers, {}
    domain = env.get_domain("std")
    for docname in env.all_docs:
        numbers = {}
        for node in env.get_doctree(docname).findall(lambda node: bool(getattr(node, "attributes", {}).get("ids"))):
            kind = domain.get_enumerable_node_type(node)
            if kind and domain.get_numfig_title(node):
                found = numbers.setdefault(kind, {})
                found[node["ids"][0]] = (len(found) + 1,)
        if numbers:
            env.toc_fignumbers[docname] = numbers
    return [name for name in env.all_docs if old.get(name) != env.toc_fignumbers.get(name)]


def setup(app: Sphinx) -> dict:
    TocTreeCollector.assign_figure_numbers = number_by_page
    app.connect("html-page-context", neighbours, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
