"""The exceptions of barwheel; each class has the exit code of a command that it ends."""

from __future__ import annotations


class BarwheelError(Exception):
    """The base class. The text is one line that says what is wrong and what to do about it."""

    exit_code = 1


class SettingsError(BarwheelError):
    """A setting is missing, misspelt or out of range."""

    exit_code = 2


class InputError(BarwheelError):
    """A file or an argument given to a command cannot be used."""

    exit_code = 2


class BrokerError(BarwheelError):
    """The broker cannot be reached, or refused a request."""

    exit_code = 3


class RegistryError(BarwheelError):
    """Schema Registry cannot be reached, or refused a request."""

    exit_code = 3


class TopicsError(BarwheelError):
    """A topic has the wrong number of partitions or the wrong cleanup policy."""

    exit_code = 4


class StateError(BarwheelError):
    """The stored state does not fit the settings, belongs to another app, or the input has a gap."""

    exit_code = 4
