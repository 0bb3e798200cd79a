"""The example services: which file, which model, and what must be installed to run it.

Importing this module, or running it, imports no machine-learning framework.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from stories import STORIES

MISSING_REQUIREMENT_STATUS = 3


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something to import: ``module`` as Python names it, ``package`` as pip names it."""

    module: str
    title: str
    package: str

    @property
    def installed(self) -> bool:
        """Whether the module can be found; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None


@dataclass(frozen=True, slots=True)
class Service:
    """One example service; ``requires`` starts with what serves the model."""

    script: str
    model_name: str
    framework: str
    requires: tuple[Requirement, ...]

    @property
    def install(self) -> str:
        """The command that installs everything the service needs."""
        return " ".join(["pip install", *(requirement.package for requirement in self.requires)])

    @property
    def installed(self) -> bool:
        """Whether everything the service needs can be found; nothing is imported."""
        return all(requirement.installed for requirement in self.requires)


NUMPY = Requirement("numpy", "NumPy", "numpy")
JAX = Requirement("jax", "JAX", "jax")
ONNX_RUNTIME = Requirement("onnxruntime", "ONNX Runtime", "onnxruntime")
PYTORCH = Requirement("torch", "PyTorch", "torch")
SCIKIT_LEARN = Requirement("sklearn", "scikit-learn", "scikit-learn")
SKL2ONNX = Requirement("skl2onnx", "skl2onnx", "skl2onnx")
TENSORFLOW = Requirement("tensorflow", "TensorFlow", "tensorflow-cpu")

# The data sets come with scikit-learn, so every service with real data needs it.
SERVICES = (
    Service("jax_diabetes.py", "progression-risk", "jax", (JAX, SCIKIT_LEARN)),
    Service("onnxruntime_digits.py", "digit-scanner", "onnxruntime", (ONNX_RUNTIME, SKL2ONNX, SCIKIT_LEARN)),
    Service("pytorch_digits.py", "digit-reader", "pytorch", (PYTORCH, SCIKIT_LEARN)),
    Service("letter_writer.py", "letter-writer", "python", (NUMPY,)),
    Service("sklearn_breast_cancer.py", "tumour-screen", "sklearn", (SCIKIT_LEARN,)),
    Service("tensorflow_wine.py", "wine-grader", "tensorflow", (TENSORFLOW, SCIKIT_LEARN)),
)


def explain_missing(error: ModuleNotFoundError, script: str) -> NoReturn:
    """Say in one line what to install for ``script`` and exit with status 3.

    A module that the catalogue does not list for the script is raised again.
    """
    path = Path(script)
    for service in SERVICES:
        for requirement in service.requires:
            if (service.script, requirement.module) == (path.name, error.name):
                print(
                    f"{path.stem}: {requirement.title} is not installed; "
                    f"add it with: pip install {requirement.package}",
                    file=sys.stderr,
                )
                raise SystemExit(MISSING_REQUIREMENT_STATUS)
    raise error


def as_json() -> str:
    """The catalogue as a JSON list, sorted by script."""
    entries = [
        {
            "script": service.script,
            "model_name": service.model_name,
            "framework": service.framework,
            "requires": [requirement.module for requirement in service.requires],
            "install": service.install,
            "installed": service.installed,
            "story": asdict(STORIES[service.model_name]),
        }
        for service in sorted(SERVICES, key=lambda service: service.script)
    ]
    return json.dumps(entries, indent=2)


def as_table() -> str:
    """The catalogue for people, one line per service."""
    return "\n".join(
        f"{service.script:26}{service.model_name:18}{'installed' if service.installed else service.install}"
        for service in SERVICES
    )


def main() -> None:
    """Print the catalogue."""
    parser = argparse.ArgumentParser(
        description="List the example services.", epilog="example: python catalogue.py --json"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    print(as_json() if parser.parse_args().json else as_table())


if __name__ == "__main__":
    main()
