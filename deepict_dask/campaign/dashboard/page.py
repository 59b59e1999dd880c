"""The page on the Dask dashboard: how the run goes, looked at while it goes."""

from __future__ import annotations

from typing import Any

from bokeh.layouts import column, row
from bokeh.models import (
    ColumnDataSource,
    DataTable,
    DatetimeTickFormatter,
    Div,
    HoverTool,
    HTMLTemplateFormatter,
    NumberFormatter,
    Select,
    TableColumn,
)
from bokeh.plotting import figure
from distributed.dashboard.components.scheduler import env

from deepict_dask.campaign.dashboard import frames
from deepict_dask.campaign.dashboard.seen import SeenRun

_MILLISECONDS = 1000
_FONT = {"font-family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"}
_ESCAPED = '<span style="font-size:13px"><%- value %></span>'


def campaign_doc(runs: dict[str, SeenRun], scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    """Make one viewer's document; the signature is Dask's, after the runs."""
    page = _Page(runs)
    page.update()
    doc.title = "deepict_dask"
    doc.add_root(page.root)
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.add_periodic_callback(page.update, _MILLISECONDS)


class _Page:
    """The parts of one document, and how they follow the runs."""

    def __init__(self, runs: dict[str, SeenRun]):
        self._runs = runs
        self._shown: tuple[str, int] | None = None
        self._picture: object = None
        self.choice = Select(title="Run", options=[], visible=False, width=560)
        self.head = Div(sizing_mode="stretch_width", styles=_FONT)
        self.states = ColumnDataSource(frames.EMPTY_BARS)
        self.stages = ColumnDataSource(frames.EMPTY_BARS)
        self.rates = ColumnDataSource({"time": [], "rate": []})
        self.tomograms = ColumnDataSource(frames.EMPTY_TABLE)
        self.failures = Div(sizing_mode="stretch_width", styles=_FONT)
        self.picture = Div(width=470, styles=_FONT)
        self._state_bars = _bars("Tomograms by state", self.states, "@label: @value")
        self._stage_bars = _bars("Time by stage, all tomograms", self.stages, "@label: @value{0,0.0} s")
        # Not drawn before there is something to be drawn: what is laid out empty stays crooked.
        self.body = column(
            row(self._state_bars, _line(self.rates), self._stage_bars, sizing_mode="stretch_width"),
            row(
                column(self.failures, _table(self.tomograms), sizing_mode="stretch_width"),
                self.picture,
                sizing_mode="stretch_width",
            ),
            sizing_mode="stretch_width",
        )
        self.root = column(
            self.choice,
            self.head,
            sizing_mode="stretch_width",
            styles={"max-width": "1500px", "margin": "14px auto", "padding": "0 18px"},
        )

    def update(self) -> None:
        """Show the run that is chosen, else the one last heard of."""
        folders = list(self._runs)
        if self.choice.options != folders:
            newest_before = self.choice.options[-1] if self.choice.options else None
            follows = self.choice.value in ("", None, newest_before)
            self.choice.options, self.choice.visible = folders, len(folders) > 1
            if folders and (follows or self.choice.value not in folders):
                self.choice.value = folders[-1]
        run = self._runs.get(str(self.choice.value))
        if run is None:
            self.head.text = frames.nothing_yet()
            return
        if self._shown == (run.folder, run.version):
            return
        self._shown = (run.folder, run.version)
        summary = run.summary
        times, rates = run.rates()
        self.head.text = frames.head(summary, rates[-1] if rates else 0.0)
        for source, plot, bars in (
            (self.states, self._state_bars, frames.state_bars(summary)),
            (self.stages, self._stage_bars, frames.stage_bars(summary)),
        ):
            names = bars["label"][::-1]
            if plot.y_range.factors != names:
                plot.y_range.factors = names
            source.data = bars
        self.rates.data = {"time": [1000 * t for t in times], "rate": rates}
        self.tomograms.data = frames.table(summary)
        self.failures.text = frames.failures(summary)
        if run.picture is not self._picture:
            self._picture = run.picture
            self.picture.text = frames.picture(run.picture)
        if self.body not in self.root.children:
            self.root.children = [self.choice, self.head, self.body]


def _bars(title: str, source: ColumnDataSource, hint: str) -> Any:
    plot = figure(
        title=title, y_range=[""], height=230, sizing_mode="stretch_width", toolbar_location=None, tools=""
    )
    bars = plot.hbar(y="label", right="value", height=0.66, color="color", source=source)
    plot.text(
        x="value",
        y="label",
        text="shown",
        source=source,
        text_baseline="middle",
        x_offset=6,
        text_font_size="12px",
    )
    plot.add_tools(HoverTool(renderers=[bars], tooltips=hint))
    plot.x_range.start, plot.x_range.range_padding = 0, 0.6
    plot.xgrid.visible = plot.ygrid.visible = False
    plot.xaxis.visible = False
    plot.yaxis.major_label_text_font_size = "13px"
    return _plain(plot)


def _line(source: ColumnDataSource) -> Any:
    plot = figure(
        title="Blocks per second",
        x_axis_type="datetime",
        height=230,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
    )
    plot.varea(x="time", y1=0, y2="rate", color="#33608c", alpha=0.18, source=source)
    line = plot.line(x="time", y="rate", color="#33608c", line_width=2, source=source)
    plot.add_tools(HoverTool(renderers=[line], tooltips="@rate{0.00} blocks/s", mode="vline"))
    plot.y_range.start = 0
    plot.xaxis.formatter = DatetimeTickFormatter(
        seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M", hourmin="%H:%M"
    )
    return _plain(plot)


def _plain(plot: Any) -> Any:
    plot.outline_line_color = None
    plot.min_border_left = 76
    plot.title.text_font_size, plot.title.text_color = "14px", "#1b2430"
    plot.axis.axis_line_color, plot.axis.major_tick_line_color = "#c3cad3", None
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = "#3a4552"
    plot.grid.grid_line_color = "#e8ebef"
    return plot


def _table(source: ColumnDataSource) -> Any:
    words, numbers = HTMLTemplateFormatter(template=_ESCAPED), NumberFormatter(format="0,0.0", nan_format="")
    columns = [
        TableColumn(field="name", title="Tomogram", formatter=words, width=150),
        TableColumn(field="state", title="State", formatter=words, width=70),
        TableColumn(field="stage", title="Stage", formatter=words, width=80),
        TableColumn(field="blocks", title="Blocks", formatter=words, width=80),
        TableColumn(field="particles", title="Particles", formatter=words, width=180),
        TableColumn(field="seconds", title="Seconds", formatter=numbers, width=75),
        TableColumn(field="reason", title="Reason", formatter=words, width=240),
    ]
    return DataTable(
        source=source,
        columns=columns,
        sizing_mode="stretch_width",
        height=420,
        index_position=None,
        row_height=26,
    )
