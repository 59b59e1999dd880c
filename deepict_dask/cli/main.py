"""``deepict-dask``: from tomograms to particles."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from deepict_dask.cli import campaign, exchange, learning, pictures, scoring, stages
from deepict_dask.cli.failure import report_error
from deepict_dask.cli.options import OVERWRITE, is_quiet, setting_options
from deepict_dask.cli.streams import forgive_output, lost_output


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="deepict_dask", prog_name="deepict-dask")
@click.option("--traceback", is_flag=True, help="Show the Python traceback of an error.")
@click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong.")
@click.pass_context
def cli(context: click.Context, /, **_: Any) -> None:
    """Find particles in cryo-electron tomograms, chunk by chunk.

    \b
    deepict-dask demo                                    a small cell, start to end
    deepict-dask run cell.mrc --model net.pth -o out     tomogram in, particles out
    deepict-dask pick out --threshold 0.3 --overwrite    other picks, no new inference
    """  # noqa: D301


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
def info(path: Path) -> None:
    """Say what a file or folder is.

    PATH is a tomogram, a run folder, a checkpoint, an amplitude spectrum or a particle table.
    """
    from deepict_dask.cli.info import describe

    click.echo(describe(path))


@cli.command()
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Settings to check and complete.")
def settings(config: Path | None) -> None:
    """Print all settings with their meaning, as YAML."""
    from deepict_dask.config import commented_yaml, load_settings

    click.echo(commented_yaml(load_settings(config)), nl=False)


@cli.command()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("demo_output"), show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulated cell.")
@setting_options("cluster")
@OVERWRITE
@click.pass_context
def demo(context: click.Context, /, **options: Any) -> None:
    """Find the particles of a small simulated cell.

    The cell is simulated, the network is bundled, and the picks are scored against the truth.
    """
    from deepict_dask.cli.demo import demonstrate

    demonstrate(is_quiet(context), **options)


for command in (
    *stages.COMMANDS,
    *campaign.COMMANDS,
    *learning.COMMANDS,
    *scoring.COMMANDS,
    *pictures.COMMANDS,
    *exchange.COMMANDS,
):
    cli.add_command(command)


class Terminated(KeyboardInterrupt):
    """SIGTERM: a batch system or a shutdown stops the program, which clears away what it unpacked."""


def _terminate(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what clears away is not to be stopped
    raise Terminated


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 work that failed, 2 a mistake in what was asked."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Modules of the folder that the program is started in are not its own: not in workers either.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    forgive_output()
    with contextlib.suppress(ValueError):  # only the main thread hears signals
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(args=arguments, prog_name="deepict-dask", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        click.echo("stopped; what is complete is kept, and the same command goes on from there", err=True)
        # click turns the one into the other.
        code = 143 if isinstance(stop.__cause__ or stop, Terminated) else 130
    except Exception as error:
        if "--traceback" in arguments:
            raise
        code = report_error(error)
    code = code if isinstance(code, int) else 0
    if code == 0 and (failure := lost_output()) and arguments and arguments[0] in ("settings", "info"):
        # Here, and only here, what is printed is the work.
        code = report_error(failure)
    sys.exit(code)
