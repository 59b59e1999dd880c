"""The errors of the package: one sentence each, saying rule, value, place and way out.

Every error is also a standard exception type, so that callers need not know this module.
``exit_code`` is what the command line returns: 2 for a mistake of the user's, 1 for failed work.
"""

from __future__ import annotations


class DeepictError(Exception):
    """Base of all errors that the package raises on purpose."""

    exit_code = 1

    def __reduce__(self) -> tuple[type[DeepictError], tuple[object, ...]]:
        # As it was made: of two standard types Python's own way takes the wrong one, and an error that cannot travel
        # from a worker arrives as a bare Exception that holds its repr.
        return type(self), self.args


class InputError(DeepictError, ValueError):
    """A value, file or combination that the user must change."""

    exit_code = 2


class MissingFileError(InputError, FileNotFoundError):
    """A path that does not exist."""

    def __str__(self) -> str:
        # FileNotFoundError would format (errno, message) pairs; the sentence alone is wanted.
        return str(self.args[0]) if self.args else ""


class FormatError(InputError):
    """A file that exists but cannot be read as what it claims to be."""


class NeedsGridError(InputError):
    """A table whose positions mean nothing without the voxel size or shape of their tomogram."""


class SettingsError(InputError):
    """A setting that is unknown, of the wrong type or out of range."""


class UnsafeCheckpointError(InputError):
    """A checkpoint whose pickle asks for code that is not on the allow-list."""


class OutputExistsError(InputError, FileExistsError):
    """An output that exists with other settings, or is in the way."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ClaimedError(InputError):
    """A folder that another process is writing to."""


class DamagedOutputError(InputError):
    """An output of this program of which something is missing or is not what was written."""


class WorkError(DeepictError, RuntimeError):
    """Work that was asked for correctly and failed all the same."""


class WorkersDiedError(WorkError):
    """Workers died again and again under one piece of work."""


class MachineError(WorkError):
    """What the work runs on failed, and not the work: it is no tomogram's fault, and those that follow would fail too."""


class ClusterError(MachineError):
    """The scheduler or all workers are gone: nothing that follows can be computed either."""


class DiskError(MachineError, OSError):
    """A disk that takes no more of what is written, or fails."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
