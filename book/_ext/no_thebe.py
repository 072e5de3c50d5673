"""Jupyter Book always loads sphinx-thebe, which writes scripts for live kernels from elsewhere into each page.

This book offers no live kernels (`make lab` does), and its pages ask for nothing outside: what it added goes.
"""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
    for listeners in app.events.listeners.values():
        for listener in [one for one in listeners if one.handler.__module__.split(".")[0] == "sphinx_thebe"]:
            app.disconnect(listener.id)
    app.registry.css_files[:] = [entry for entry in app.registry.css_files if "sphinx-thebe" not in entry[0]]
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
