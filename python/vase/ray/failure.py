"""What went wrong, in a line for people."""

from __future__ import annotations

import click


class Failure(click.ClickException):
    """The message says what went wrong, with which value, and what to do. `serve run` prints it without a traceback."""
