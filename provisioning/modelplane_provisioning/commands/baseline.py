"""Commands that fit a training baseline to data files and show one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from modelplane_exporter.baseline import Baseline, BaselineError, NumericSignal, Signal
from modelplane_provisioning.commands.options import console

if TYPE_CHECKING:
    from modelplane_provisioning.baseline_files import DataFiles

_BLOCKS = "▁▂▃▄▅▆▇█"
_EMPTY = "·"
_BAR_WIDTH = 40
_PASSES = 2
_KINDS = {"predictions": "output", "business": "business", "activation": "activation"}


@click.group("baseline")
def baseline_group() -> None:
    """Fit and show training baselines: what a model's signals looked like in training.

    Example: modelplane baseline show baseline.json
    """


@baseline_group.command("fit")
@click.argument("data", nargs=-1, required=True)
@click.option("--model", "model_name", required=True, help="Name of the model.")
@click.option("--version", "model_version", help="Version of the model (default: the baseline is for all).")
@click.option("--columns", multiple=True, metavar="COLUMN", help="A feature (default: all other columns).")
@click.option(
    "--predictions",
    "--prediction",
    "predictions",
    multiple=True,
    metavar="COLUMN",
    help="A column with what the model returned for the row, not with the true label.",
)
@click.option("--business", multiple=True, metavar="COLUMN", help="A column that is a business value.")
@click.option("--activation", multiple=True, metavar="COLUMN", help="A column that is a layer's activation.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column to leave out.")
@click.option(
    "--categorical", multiple=True, metavar="COLUMN", help="A column of numbers that are categories."
)
@click.option("--encoding", help="How a CSV or JSON file is encoded (default: UTF-8, else Windows-1252).")
@click.option("--delimiter", help="What is between the columns of a CSV file (default: found out).")
@click.option("--hash", "hashed", multiple=True, metavar="COLUMN", help="A column of categories to hash.")
@click.option("--salt", help="Hexadecimal salt of the hashes, to get the same ones again (default: random).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The baseline file to write.",
)
def baseline_fit(
    data: tuple[str, ...],
    model_name: str,
    model_version: str | None,
    columns: tuple[str, ...],
    ignore: tuple[str, ...],
    categorical: tuple[str, ...],
    hashed: tuple[str, ...],
    salt: str | None,
    encoding: str | None,
    delimiter: str | None,
    out: Path,
    **roles: tuple[str, ...],
) -> None:
    """Fit a baseline to training data and write it to one JSON file.

    DATA is a CSV file (.csv, .tsv) or a JSON Lines file (.jsonl), also .gz, or Parquet files: files, a folder
    or a pattern. It may be larger than memory; it is read twice. Each option that names a COLUMN may be given
    several times. One column of predictions is the signal "prediction", several keep their names. Predictions
    of few whole numbers are classes. Texts mean what they mean in a call: dates are times, digits after a 0
    an identifier.

    Example: modelplane baseline fit train.parquet --model resnet50 --version v1.2.0 --predictions predicted
    --ignore label --out baseline.json
    """
    from modelplane_provisioning import baseline_files

    if not out.absolute().parent.is_dir():
        raise BaselineError(f"--out: there is no folder {out.parent}")
    files = baseline_files.open_files(data, encoding, delimiter)
    _say(files.notices)
    _refuse_unknown(files, {"columns": columns, "ignore": ignore, "categorical": categorical, "hash": hashed})
    signals = _signals(files, columns, ignore, roles)
    classes = [name for name in roles["predictions"] if files.has_classes(name)]
    categories = {*categorical, *hashed, *classes}
    empty: list[tuple[str, str]] = []
    with _progress() as progress:
        task = progress.add_task(f"reading {files.unit} twice", total=_PASSES * files.size)
        baseline = Baseline.fit_chunks(
            model_name,
            lambda: files.chunks(signals, categories, lambda amount: progress.advance(task, amount)),
            list(signals.values()),
            model_version=model_version,
            hashed=[signals[column] for column in hashed if column in signals],
            salt=salt,
            left_out=empty.append,
        )
    baseline.save(out)
    _say(
        f"column {column!r} has no value in any row, and so was left out; --ignore it"
        for column, key in signals.items()
        if key in empty
    )
    rows = max(signal.observations for signal in baseline.signals)
    console.print(
        f"{out}: {len(baseline.signals)} signals of {model_name}, {rows:,} rows, baseline {baseline.label}",
        markup=False,
    )


@baseline_group.command("show")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--signal", "name", help="Show the bins of this signal.")
def baseline_show(file: Path, name: str | None) -> None:
    """Show a baseline file: its signals with moments and small histograms, or the bins of one signal.

    Example: modelplane baseline show baseline.json --signal prediction
    """
    baseline = Baseline.load(file)
    if name is None:
        version = baseline.model_version or "all versions"
        console.print(
            f"{baseline.model_name} ({version}): {len(baseline.signals)} signals, fitted {baseline.created}, "
            f"baseline {baseline.label}",
            markup=False,
        )
        console.print(_signal_table(baseline))
        return
    chosen = [signal for signal in baseline.signals if signal.name == name]
    if not chosen:
        raise BaselineError(f"{file}: there is no signal {name!r}; {_some(s.name for s in baseline.signals)}")
    for signal in chosen:
        console.print(_bin_table(signal))


def _say(notices: Iterable[str]) -> None:
    for notice in notices:
        console.print(notice, markup=False)


def _progress() -> Progress:
    parts = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # Not ``disable``: rich before 14.3 ends a bar that is disabled with an empty line.
    shown_on = console if console.is_terminal else Console(quiet=True)
    return Progress(*parts, console=shown_on, transient=True)


def _signals(
    files: DataFiles, columns: Sequence[str], ignore: Sequence[str], roles: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, str]]:
    """Which signal each column is, features first; BaselineError for a column with two roles."""
    _refuse_unknown(files, roles)
    given = Counter(name for names in (columns, ignore, *roles.values()) for name in names)
    if repeated := next((name for name, count in given.items() if count > 1), None):
        raise BaselineError(
            f"column {repeated!r} must be given once: as one of columns, ignore, {', '.join(roles)}"
        )
    features = columns or [name for name in files.columns if name not in given]
    signals = {name: ("input", name) for name in features}
    for role, kind in _KINDS.items():
        alone = role == "predictions" and len(roles[role]) == 1
        signals |= {name: (kind, "prediction" if alone else name) for name in roles[role]}
    if not signals:
        raise BaselineError("there is no column left to fit")
    return signals


def _refuse_unknown(files: DataFiles, options: dict[str, tuple[str, ...]]) -> None:
    for option, names in options.items():
        for name in names:
            if name not in files.columns:
                raise BaselineError(f"--{option}: there is no column {name!r}; {_some(files.columns)}")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return "there are " + ", ".join(map(repr, listed[:10])) + (", ..." if len(listed) > 10 else "")


def _signal_table(baseline: Baseline) -> Table:
    table = Table("kind", "signal", "type")
    for heading in ("observations", "missing", "mean", "stddev"):
        table.add_column(heading, justify="right")
    table.add_column("shares of the bins", no_wrap=True)
    for signal in baseline.signals:
        kind, mean, stddev = _type_and_moments(signal)
        missing, histogram = _percent(signal.ratios[-1]), _histogram(signal.ratios[:-1])
        observations = f"{signal.observations:,}"
        table.add_row(signal.kind, escape(signal.name), kind, observations, missing, mean, stddev, histogram)
    return table


def _type_and_moments(signal: Signal) -> tuple[str, str, str]:
    if isinstance(signal, NumericSignal):
        return "numeric", f"{signal.mean:.6g}", f"{signal.stddev:.6g}"
    return f"{len(signal.categories)} {'hashed ' if signal.hashed else ''}categories", "", ""


def _bin_table(signal: Signal) -> Table:
    table = Table(title=f"{signal.kind} {escape(signal.name)}", title_justify="left")
    ranges = _ranges(signal)
    for heading in ("bin", "from", "to", "mean", "share") if ranges else ("bin", "share"):
        table.add_column(heading, justify="left" if heading == "bin" else "right")
    table.add_column("", no_wrap=True)
    largest = max(signal.ratios)
    for index, (name, ratio) in enumerate(zip(signal.bins, signal.ratios, strict=True)):
        bounds = ranges[index] if ranges else ()
        table.add_row(escape(name), *bounds, _percent(ratio), "█" * round(_BAR_WIDTH * ratio / largest))
    return table


def _ranges(signal: Signal) -> list[tuple[str, str, str]]:
    """From, to and mean of each bin, nothing for that of missing values; none for a categorical signal."""
    if not isinstance(signal, NumericSignal):
        return []
    bounds = ["-inf", *(f"{edge:.8g}" for edge in signal.edges), "inf"]
    means = ["" if center is None else f"{center:.8g}" for center in signal.centers]
    return [*zip(bounds, bounds[1:], means, strict=False), ("", "", "")]


def _histogram(ratios: Sequence[float]) -> str:
    """One block for each share, as high as it is against the largest; a dot for none."""
    largest, top = max(ratios), len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(top * ratio / largest)] if ratio else _EMPTY for ratio in ratios)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.2f} %" if ratio else "0 %"


COMMANDS = (baseline_group,)
