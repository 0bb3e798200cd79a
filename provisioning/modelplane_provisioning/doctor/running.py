"""Run checks in turn, and tell each cause once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from modelplane_provisioning.clients.plane_errors import (
    NoAnswerError,
    NoRouteError,
    NotGrantedError,
    PlaneError,
    WrongAddressError,
)
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import NotGivenError, Parts

Check = Callable[[Parts], Finding]


@dataclass(frozen=True, slots=True)
class NamedCheck:
    """A check, and the statement that holds when all is well."""

    name: str
    run: Check


def run_checks(checks: Sequence[NamedCheck], parts: Parts) -> Iterator[Finding]:
    """The finding of each check in turn; at the end, what was not checked because a part was not given.

    A problem whose cause an earlier check has named is among those ``repeated``. A part that gave two
    checks no answer is not asked again: a query may have been too slow, and its timeout is long.
    """
    earlier: dict[str, Problem] = {}
    absent: dict[str, tuple[NotGivenError, list[str]]] = {}
    unanswered: set[str] = set()
    for check in checks:
        try:
            finding = _finding(check, parts)
        except NotGivenError as error:
            absent.setdefault(error.part, (error, []))[1].append(check.name)
            continue
        except NoAnswerError as error:
            parts = parts.without(error) if error.part in unanswered else parts
            unanswered.add(error.part)
            finding = _unchecked(check, problem_of(error))
        new = tuple(problem for problem in finding.problems if problem.cause not in earlier)
        repeated = tuple(problem for problem in finding.problems if problem.cause in earlier)
        earlier |= {problem.cause: problem for problem in new}
        yield replace(finding, problems=new, repeated=repeated)
    for missing, names in absent.values():
        title = names[0] if len(names) == 1 else f"{len(names)} checks that need {missing.part}"
        yield Finding(title, ", ".join(names), not_checked=str(missing))


def _finding(check: NamedCheck, parts: Parts) -> Finding:
    """The finding of a check; one that cannot be made is a finding, too. NotGivenError, NoAnswerError."""
    try:
        return check.run(parts)
    except NoAnswerError:
        raise
    except NoRouteError as error:
        return Finding(check.name, "", not_checked=str(error))
    except PlaneError as error:
        return _unchecked(check, problem_of(error))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return _unchecked(check, _odd_answer(check, error))


def _unchecked(check: NamedCheck, problem: Problem) -> Finding:
    return Finding(check.name, "could not be checked", (problem,))


def _odd_answer(check: NamedCheck, error: Exception) -> Problem:
    """Something else may answer with JSON at the address of a part, and has none of its keys."""
    text = f"an answer is not of the form that {check.name!r} needs ({type(error).__name__}: {error})"
    advice = "is each address that of the part itself, and the part of a version that is supported?"
    return Problem("error", f"odd-answer:{check.name}", text, advice)


def problem_of(error: PlaneError) -> Problem:
    """The problem that a part cannot be asked; all that comes of one part has one cause."""
    if isinstance(error, NoAnswerError):
        return Problem("error", f"no-answer:{error.part}", str(error))
    if isinstance(error, NotGrantedError):
        return Problem("error", f"not-granted:{error.part}", str(error))
    if isinstance(error, WrongAddressError):
        return Problem("error", f"wrong-address:{error.part}", str(error))
    return Problem("error", f"wrong-answer:{error}", str(error))


def gathered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems of one cause as one, which explains what each of them does."""
    by_cause: dict[str, Problem] = {}
    for problem in problems:
        before = by_cause.setdefault(problem.cause, replace(problem, explains=()))
        explains = dict.fromkeys((*before.explains, *problem.explains))
        by_cause[problem.cause] = replace(before, explains=tuple(explains))
    return tuple(by_cause.values())
