"""`jb build .` executes what is stale, publishes the pages, and only then compiles them.

Runs at `config-inited`, before the table of contents is read. Failed notebooks do not stop the
compilation of the others; they fail the build at its end, with one line each.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from html_parts import in_a_sentence, in_markdown
from reference_page import reference_text, write_reference_page, write_stub_page
from sphinx.application import ENV_PICKLE_FILENAME
from sphinx.util import logging

from htcv_lib.runs.build import BuildReport, build, build_lock
from htcv_lib.runs.notebook import first_heading
from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project, ended_by_signals, one_line
from htcv_lib.runs.publish import publish, remove_stale, write_if_changed
from htcv_lib.runs.records import Record, Results

logger = logging.getLogger(__name__)


def current(app) -> BuildReport:
    """What this build planned and executed."""
    return app.htcv_report


def project_of(app) -> Project:
    return app.htcv_project


def execute_and_publish(app, config) -> None:
    app.htcv_project = project = Project.find(app.srcdir)
    app.htcv_open = ExitStack()  # until the build has ended
    app.htcv_open.enter_context(ended_by_signals())
    try:
        app.htcv_open.enter_context(build_lock(project, logger.info))
        if unfinished(app).exists():
            logger.info("The last build did not finish its pages; all are written again.")
            Path(app.doctreedir, ENV_PICKLE_FILENAME).unlink(missing_ok=True)
        app.htcv_report = report = build(project, say=logger.info)
        publish_pages(project, report)
    except Exception as error:
        logger.error(one_line(error))
        sys.exit(1)  # not an exception of Sphinx: Jupyter Book would bury the line under its traceback


def publish_pages(project: Project, report: BuildReport) -> None:
    """One page per variant (seed 0) and per chapter; no address contains a profile."""
    book = Book.load(project)
    failed = {outcome.label: project.scrub(outcome.error) for outcome in report.failures}
    for family in book.families.values():
        results = Results(family.name, project)
        references = {record.run: record for record in results.references}
        folder = project.pages / family.name
        write_if_changed(folder / "files" / "references.csv", results.frame().to_csv(index=False))
        for variant, entry in family.variants.items():
            run = f"{family.name}/{variant}/s0"
            page = folder / "runs" / f"{variant}.ipynb"
            title, anchor = in_markdown(entry.get("title", variant)), f"run-{family.name}-{variant}".replace("_", "-")
            built: Record | None = report.built.get(run)
            seeds = [record for record in results.references if record.variant == variant
                     and record.profile == references[run].profile] if run in references else []
            if built:
                leading = reference_text(references[run], page, title, anchor, family, seeds=seeds) if seeds else ""
                publish(built.folder / "notebook.ipynb", page, title, anchor, project, run, reference=leading)
            elif seeds:
                write_reference_page(references[run], page, title, anchor, family, failed.get(run, ""), seeds)
            else:
                write_stub_page(page, title, anchor, run, failed.get(run, ""))
        remove_stale(folder / "runs", family.variants)
        for name in family.chapters:
            stem = name.removesuffix(".ipynb")
            label, page = f"{family.name}/{stem}", folder / name
            anchor = f"chapter-{family.name}-{stem}".replace("_", "-")
            alone = len(family.chapters) == 1
            part = first_heading(project.notebooks / family.name / name).partition(":")[0]
            title = in_markdown(family.title if alone else f"{family.title}: {in_a_sentence(part)}")
            if label in report.chapters:
                publish(report.chapters[label], page, title, anchor, project, label, fold_code=True)
            elif not page.exists():
                write_stub_page(page, title, anchor, label, failed.get(label, ""))


def unfinished(app) -> Path:
    """There while pages are being written: what Sphinx remembers of them may not have been written."""
    return Path(app.doctreedir, "unfinished")


def begin_writing(app, env) -> None:
    unfinished(app).parent.mkdir(parents=True, exist_ok=True)
    unfinished(app).touch()


def close(app, exception) -> None:
    """Release the lock; fail the build if a notebook failed."""
    warned = app.keep_going and app._warncount  # Sphinx would not repeat the warning of a page that did not change
    if exception is None and not warned:
        unfinished(app).unlink(missing_ok=True)
    if hasattr(app, "htcv_open"):
        app.htcv_open.close()
    failures = current(app).failures if hasattr(app, "htcv_report") else []
    if failures and exception is None:
        for outcome in failures:
            logger.error("notebook failed: %s", outcome.error)
        app.statuscode = 1  # not an exception: Jupyter Book would bury the lines under its traceback


def setup(app):
    app.connect("config-inited", execute_and_publish, priority=100)
    app.connect("env-updated", begin_writing)
    app.connect("build-finished", close, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
