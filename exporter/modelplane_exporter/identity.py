"""Who a call belongs to and what it runs on: valid labels."""

from __future__ import annotations

import os
import socket
import sys
from numbers import Integral
from typing import NamedTuple, TypeGuard
from uuid import UUID

from modelplane_schema.identity import Identity
from modelplane_schema.metrics import FRAMEWORK_PATTERN, MAX_LABEL_LENGTH, RESERVED_TENANTS

_PROCESS_DEVICE_TYPE = "cpu-process"
_TOO_LONG = f"what has more than {MAX_LABEL_LENGTH} characters is no tenant"


class Version(NamedTuple):
    """The labels of a model version, in the order of the schema's ``VERSION_IDENTITY``."""

    model_name: str
    model_version: str
    framework: str


class NotATenantError(ValueError):
    """A value names no tenant; the text says why, without the value: it may be a secret."""


def version_of(identity: Identity) -> Version:
    """The version of an identity, without its tenant."""
    return Version(identity.model_name, identity.model_version, identity.framework)


def required_text(field: str, value: object) -> str:
    """``value`` when it is a non-empty text; ValueError names the field otherwise."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field} is required and must be a non-empty text (got {value!r})")
    return label_text(field, value)


def label_text(field: str, value: object) -> str:
    """``value`` when it is a text that a label can hold, or empty; ValueError names the field otherwise."""
    if not isinstance(value, str):
        raise ValueError(f"{field} must be a text (got {value!r})")
    if len(value) > MAX_LABEL_LENGTH:
        raise ValueError(f"{field} must have at most {MAX_LABEL_LENGTH} characters (got {len(value)})")
    if not is_unicode(value):
        raise ValueError(f"{field} must be a text without lone surrogates (got {value!r})")
    return str.__str__(value)  # of an enumeration's member the text, not its name


def valid_framework(value: object) -> str:
    """``value`` when it is a framework name; ValueError names the field otherwise."""
    framework = required_text("framework", value)
    if not FRAMEWORK_PATTERN.fullmatch(framework):
        raise ValueError(
            f"framework must match {FRAMEWORK_PATTERN.pattern}, for example pytorch (got {value!r})"
        )
    return framework


def valid_device(device: object, device_type: object) -> tuple[str, str]:
    """A device and its type, those of this process if both are None; ValueError names the field otherwise."""
    if (device is None) != (device_type is None):
        raise ValueError("device and device_type go together: give both or none")
    if device is None:
        process = os.path.basename(sys.argv[0]) or "python"
        return f"{socket.gethostname()}/{process}", _PROCESS_DEVICE_TYPE
    return required_text("device", device), required_text("device_type", device_type)


def tenant_text(value: object) -> str:
    """The id of the tenant that ``value`` names: a text, or an ``int`` or ``UUID`` as text.

    NotATenantError when it is another type, empty, reserved, or nothing that a label can hold.
    """
    # Not isinstance, and not the value's own methods: those may be anybody's code.
    kind = type(value)
    if issubclass(kind, str):
        text = str.__str__(value)
    elif issubclass(kind, UUID):
        text = UUID.__str__(value)
    elif issubclass(kind, Integral) and not issubclass(kind, bool):
        try:
            text = f"{int(value)}"  # type: ignore[call-overload]  # it is one
        except ValueError:  # Python writes out no number of more than 4,300 digits
            raise NotATenantError(_TOO_LONG) from None
    else:
        raise NotATenantError(f"a value of type {kind.__name__} is no tenant")
    if not text.strip():
        raise NotATenantError("an empty text is no tenant")
    if text in RESERVED_TENANTS:
        raise NotATenantError(f"{text} is reserved")
    if len(text) > MAX_LABEL_LENGTH:
        raise NotATenantError(_TOO_LONG)
    if not is_unicode(text):
        raise NotATenantError("a text with lone surrogates is no tenant")
    return text


def is_label(value: object) -> TypeGuard[str]:
    """Whether ``value`` is a text that is not empty and that a label can hold."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(value) <= MAX_LABEL_LENGTH
        and is_unicode(value)
    )


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
