"""The recipes of docs/recipes.md: their files, their commands, and the lines of ``/metrics`` they promise."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+\.py)\n")
ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
NUMBERS = re.compile(r"\[(\d+)-(\d+)\]")


@dataclass(frozen=True)
class Command:
    """A line of a shell. ``environment`` is for it alone; without ``words`` it is for all that follow."""

    environment: dict[str, str]
    words: tuple[str, ...]
    is_background: bool

    @classmethod
    def parse(cls, line: str) -> Command:
        words = shlex.split(line)
        if words[0] == "export":
            words.pop(0)
        environment = {}
        while words and (match := ASSIGNMENT.fullmatch(words[0])):
            environment[match[1]] = match[2]
            words.pop(0)
        is_background = words[-1:] == ["&"]
        return cls(environment, tuple(words[:-1] if is_background else words), is_background)


@dataclass(frozen=True)
class Recipe:
    """A section of the page; ``sessions`` are the shells that it shows."""

    title: str
    files: dict[str, str]
    sessions: tuple[tuple[Command, ...], ...]
    lines: frozenset[str]


@dataclass(frozen=True)
class Request:
    """What ``curl`` sends: to each URL, in turn."""

    urls: tuple[str, ...]
    headers: dict[str, str]
    body: str | None

    @classmethod
    def parse(cls, words: tuple[str, ...]) -> Request:
        """ValueError for an option that no recipe had so far."""
        headers, body, urls = dict[str, str](), None, list[str]()
        rest = iter(words[1:])
        for word in rest:
            if word == "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            elif word == "--json":
                body = next(rest)
                headers["Content-Type"] = "application/json"
            elif word.startswith("localhost:"):
                urls += numbered(f"http://{word}")
            elif word != "-s":
                raise ValueError(f"curl: {word} is not known here")
        return cls(tuple(urls), headers, body)


def numbered(url: str) -> list[str]:
    """The URLs for which brackets stand."""
    match = NUMBERS.search(url)
    if match is None:
        return [url]
    numbers = range(int(match[1]), int(match[2]) + 1)
    return [f"{url[: match.start()]}{number}{url[match.end() :]}" for number in numbers]


def recipe(title: str, section: str) -> Recipe:
    blocks = [(match[1], match[2]) for match in BLOCK.finditer(section)]
    code = [text for language, text in blocks if language == "python"]
    return Recipe(
        title,
        {name[1]: text for text in code if (name := NAME.match(text))},
        tuple(
            tuple(Command.parse(line.removeprefix("$ ")) for line in text.splitlines())
            for language, text in blocks
            if language == "console"
        ),
        frozenset(line for language, text in blocks if language == "text" for line in text.splitlines()),
    )


def recipes() -> list[Recipe]:
    """One for each section that has code."""
    headings = [*re.finditer(r"^## (.+)\n", PAGE, re.MULTILINE)]
    ends = [*(heading.start() for heading in headings[1:]), len(PAGE)]
    return [
        recipe(heading[1], PAGE[heading.end() : end]) for heading, end in zip(headings, ends, strict=True)
    ]
