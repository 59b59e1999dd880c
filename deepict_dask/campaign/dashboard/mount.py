"""Adds the page to a dashboard that runs already, and to its navigation."""

from __future__ import annotations

from functools import partial
from typing import Any

from deepict_dask.campaign.dashboard import PAGE
from deepict_dask.campaign.dashboard.seen import SeenRun


def mount_page(scheduler: Any, runs: dict[str, SeenRun]) -> str:
    """Serve the page beside the scheduler's own ones.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        In its event loop.
    runs : dict
        What the page shows; read when somebody looks.

    Returns
    -------
    str
        Why there is no page; empty where there is one.
    """
    try:
        from bokeh.server.tornado import BokehTornado
        from distributed.dashboard.core import BokehApplication
        from distributed.dashboard.scheduler import template_variables
    except ImportError as error:
        return f"the scheduler has no dashboard ({error})"
    dashboards = [app for app in scheduler.http_application.applications if isinstance(app, BokehTornado)]
    if not dashboards:
        return "the scheduler runs without a dashboard"
    from tornado.ioloop import IOLoop

    from deepict_dask.campaign.dashboard.page import campaign_doc

    variables = template_variables(scheduler)
    app = BokehApplication(
        {PAGE: partial(campaign_doc, runs)},
        scheduler,
        prefix=dashboards[0].prefix,
        template_variables=variables,
    )
    scheduler.http_application.add_application(app)
    app.initialize(IOLoop.current())
    app.start()
    # All pages of the dashboard share this list.
    if (name := PAGE.strip("/")) not in variables["pages"]:
        variables["pages"].append(name)
    return ""
