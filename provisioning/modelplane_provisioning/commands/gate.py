"""``modelplane gate``: a step of a pipeline that goes on with a candidate version, or does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from modelplane_provisioning.clients.backend import BackendClient
from modelplane_provisioning.clients.gate import GATES, GateClient
from modelplane_provisioning.commands.options import address, console
from modelplane_schema.errors import UserError

UNANSWERED = 4  # below it are the gate's own
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _BadOption(click.UsageError):
    exit_code = UNANSWERED


class _Unanswered(click.ClickException):
    exit_code = UNANSWERED


class _GateCommand(click.Command):
    """Bad options have a status that no gate has; click's own is that of inconclusive."""

    def make_context(self, *args: Any, **keywords: Any) -> click.Context:
        try:
            return super().make_context(*args, **keywords)
        except click.UsageError as error:
            raise _BadOption(error.format_message(), error.ctx) from error


def duration(text: str) -> float:
    """Seconds of a text such as 30m; ValueError."""
    match = re.fullmatch(r"([0-9]{1,6})([smh])", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; allowed: a number with s, m or h, such as 30m")
    return float(match[1]) * _SECONDS[match[2]]


@click.command("gate", cls=_GateCommand)
@click.option(
    "--url",
    default="http://127.0.0.1:8090",
    show_default=True,
    callback=address("http://backend:8090"),
    help="The backend.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds a token of the backend.",
)
@click.option("--model-name", required=True, help="The model.")
@click.option("--tenant-id", multiple=True, help="A tenant; all that the token may see when left out.")
@click.option("--baseline", required=True, help="The version that runs.")
@click.option("--candidate", required=True, help="The version that is judged.")
@click.option("--from", "start", default="now-1h", show_default=True, help="Before its first call.")
@click.option("--quantile", multiple=True, help="A latency quantile to compare; 0.95 when left out.")
@click.option("--above", multiple=True, help="A bucket bound in seconds: compare the share of longer calls.")
@click.option("--level", help="How often a difference may be claimed that is none; 0.05 when left out.")
@click.option("--wait", type=duration, default="0s", help="Ask until it is decided, so long at most.")
@click.option("--every", type=duration, default="15s", show_default=True, help="How often to ask.")
def gate_command(
    url: str, token_file: Path | None, start: str, wait: float, every: float, **parameters: Any
) -> None:
    """Ask the backend whether a candidate version may go on.

    The exit status is 0 for pass, 1 for fail, 2 for inconclusive (not enough data), 3 for no_traffic,
    and 4 when there is no answer.

    Example: modelplane gate --model-name digit-reader --baseline v1.2.0 --candidate v1.3.0 --wait 30m
    """
    query = {name.replace("_", "-"): value for name, value in parameters.items() if value}
    try:
        backend = BackendClient.at(url, token_file)
        answer = GateClient(backend, query).wait(start, wait, max(1.0, every), _tell)
    except UserError as error:
        raise _Unanswered(str(error)) from error
    _tell(answer)
    for sentence in answer["summary"]:
        console.print(f"  {sentence}", markup=False)
    raise SystemExit(GATES.index(answer["gate"]))


def _tell(answer: dict[str, Any]) -> None:
    console.print(f"{answer['gate']}: {answer['reason']}", markup=False)


COMMANDS = (gate_command,)
