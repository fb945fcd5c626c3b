# SPDX-License-Identifier: Apache-2.0
"""Every error a user can meet: one line of text and a documented exit code."""

from __future__ import annotations


class NvcError(Exception):
    """An operation failed; the message is one line naming the thing, its value and what is allowed."""

    exit_code = 1


class UsageError(NvcError):
    """An argument is wrong, contradicts another, or asks for what the input does not have."""

    exit_code = 2


class DamagedStreamError(NvcError):
    """A stream is cut off, altered, or claims what cannot be true."""

    exit_code = 3


class UnsupportedError(NvcError):
    """The input is sound but asks for something this build cannot do (version, model, codec, size)."""

    exit_code = 4
