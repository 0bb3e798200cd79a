"""All pictures of boards, taken in one browser, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelplane_provisioning.pictures.browser import Photographer, started
from modelplane_provisioning.pictures.shots import Board, Choice, Shot, Theme, shots_of
from modelplane_provisioning.pictures.sights import BoardSight


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of each board: widths in pixels, themes, and how it is opened.

    ``jobs`` pictures are taken at a time; none is waited for longer than ``seconds``.
    """

    widths: Sequence[int]
    themes: Sequence[Theme]
    choice: Choice
    jobs: int
    seconds: float


async def take_pictures(
    url: str,
    token: str,
    boards: Sequence[Board],
    order: Order,
    out: Path,
    chromium: Path | None,
    tell: Callable[[BoardSight], None],
) -> list[BoardSight]:
    """Take all pictures of the Grafana at ``url`` into ``out``, in their order; ``tell`` each that is taken.

    BrowserError; OSError when a picture cannot be written.
    """
    photographer = Photographer(url, token, out, order.choice, order.seconds)
    turns = asyncio.Semaphore(order.jobs)
    by_uid = {board.uid: board for board in boards}
    async with started(chromium) as context:

        async def take(shot: Shot) -> BoardSight:
            board = by_uid[shot.uid]
            async with turns:
                sight = (
                    BoardSight(board, shot, failure=board.problem)
                    if board.problem
                    else await photographer.take(context, board, shot)
                )
            tell(sight)
            return sight

        return await asyncio.gather(*map(take, shots_of(boards, order.widths, order.themes)))
