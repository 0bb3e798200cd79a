"""Read PromQL from outside: what is too long or too deep, and sentences for what cannot be read."""

from __future__ import annotations

import re

import promql_parser as promql

MAX_QUERY = 10_000  # characters
# The parser's time and memory grow with the square of the depth; here each level takes 4 frames of the stack.
MAX_OPERATORS = 150

# Comments and strings come first, so that what stands in them does not count as an operator.
_TOKENS = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*`
    | (?P<past> @\s*-) | (?P<operator> [-+*/%^(<>] | [=!]= | \b(?:and|or|unless|atan2)\b )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# What Prometheus 3 calls duration expressions.
_COMPUTED_DURATION = re.compile(
    r"\[[^\[\]]* (?: \( | [\w)]\s*[-+*/%^] ) | \boffset\s*[-+]?\s*(?: \( | (?:step|range|min|max)\s*\( )",
    re.VERBOSE | re.IGNORECASE,
)


class RefusedError(Exception):
    """A query that cannot be proven to stay within the tenants; the text is the reason."""


class InvalidQueryError(ValueError):
    """Text that is no query; the text says what is wrong."""


def parsed(query: str) -> promql.Expr:
    """The tree of a text from outside; RefusedError, InvalidQueryError."""
    if len(query) > MAX_QUERY:
        raise RefusedError(f"the query has {len(query)} characters; allowed: at most {MAX_QUERY}")
    kinds = [token.lastgroup for token in _TOKENS.finditer(query)]
    if "past" in kinds:  # the parser would panic, and print a backtrace
        raise InvalidQueryError("the time of an @ modifier is out of range")
    operators = kinds.count("operator")
    if operators > MAX_OPERATORS:
        raise RefusedError(f"the query has {operators} operators and parentheses; allowed: {MAX_OPERATORS}")
    return tree(query)


def tree(text: str) -> promql.Expr:
    """The tree of any text; InvalidQueryError."""
    try:
        return promql.parse(text)
    except ValueError as error:
        raise InvalidQueryError(f"parse error: {_reason(text, error)}") from error
    except BaseException as error:
        raise panic(error) from error


def panic(error: BaseException) -> BaseException:
    """InvalidQueryError for a panic of the parser, which is no Exception and has no importable class."""
    is_panic = type(error).__name__ == "PanicException"
    return InvalidQueryError("a time or duration is out of range") if is_panic else error


def _reason(text: str, error: ValueError) -> str:
    """What is wrong with a text that the parser does not take."""
    bare = _TOKENS.sub(lambda token: token[0] if token.lastgroup else " ", text)
    if _COMPUTED_DURATION.search(bare):
        return "arithmetic in a duration is not supported here; write its result, such as 10m"
    return str(error)
