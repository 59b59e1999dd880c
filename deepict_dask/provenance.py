"""Provenance: what made an output. Stored with it, compared before it is made again.

What decides on the values of an output is compared: stage, settings, inputs. What does not (runtime, device,
threads, number of workers, version of the program, where a file lay and when it was changed) is recorded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Union

Plain = Any
"""What JSON can say: None, bool, int, float, str, and lists and mappings of these."""


@dataclass(frozen=True)
class FileInput:
    """A file (or Zarr group) from outside that something was made from.

    Attributes
    ----------
    name : str
        Its name without folders, for people.
    checksum : str or None
        Of the contents as they were read; None where they have not been read yet, which is equal to all.
    identity : mapping
        Size, time stamps and so on: where these are the same the contents need not be read again. Not compared.
    """

    name: str
    checksum: str | None = None
    identity: Mapping[str, Plain] = field(default_factory=dict)

    def to_json(self) -> dict[str, Plain]:
        """Give it as plain values."""
        return {"name": self.name, "checksum": self.checksum, "identity": dict(self.identity)}


Made = Union["Provenance", FileInput]


@dataclass(frozen=True)
class Provenance:
    """What made an output.

    Attributes
    ----------
    stage : str
        Which step of the job.
    inputs : mapping of str to Provenance or FileInput
        What it was made from, by role: ``tomogram``, ``source``, ``region``.
    settings : mapping
        All that decides on the values; plain values.
    recorded : mapping
        What does not decide on them; plain values.
    """

    stage: str
    inputs: Mapping[str, Made] = field(default_factory=dict)
    settings: Mapping[str, Plain] = field(default_factory=dict)
    recorded: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # As it will be read back: tuples are lists, numpy numbers are refused here and not at the end of the work.
        object.__setattr__(self, "settings", json.loads(json.dumps(dict(self.settings))))
        object.__setattr__(self, "recorded", json.loads(json.dumps(dict(self.recorded))))

    def difference(self, expected: Provenance) -> str | None:
        """Say the first thing in which another differs, None if nothing decides otherwise.

        Parameters
        ----------
        expected : Provenance
            What would be made now.

        Returns
        -------
        str or None
            Ends a sentence that begins with "was made with".

        Examples
        --------
        >>> old, new = (Provenance("pick", {}, {"threshold": t}) for t in (0.5, 0.4))
        >>> old.difference(new)
        'threshold 0.5 and not 0.4'
        """
        if self.stage != expected.stage:
            return f"the stage {self.stage} and not {expected.stage}"
        if (changed := _first_difference(self.settings, expected.settings)) is not None:
            return changed
        for role in [*expected.inputs, *(r for r in self.inputs if r not in expected.inputs)]:
            old, new = self.inputs.get(role), expected.inputs.get(role)
            if old is None or new is None:
                return (
                    f"no {role}, and now there is one" if old is None else f"a {role}, and now there is none"
                )
            if isinstance(old, Provenance) and isinstance(new, Provenance):
                if (inner := old.difference(new)) is not None:
                    return inner if inner.startswith("another") else f"{inner} ({role})"
            elif not _same_file(old, new):
                name = new.name if isinstance(new, FileInput) else role
                return f"another {role} (the contents of {name} are not those that were read then)"
        return None

    def compared(self) -> dict[str, Plain]:
        """Give what is compared as plain values; the same for all that `difference` takes for the same."""
        return {
            "stage": self.stage,
            "inputs": {
                role: made.compared() if isinstance(made, Provenance) else made.checksum
                for role, made in self.inputs.items()
            },
            "settings": dict(self.settings),
        }

    @property
    def digest(self) -> str:
        """Identify all that may change a byte of what is made, what is only recorded (runtime, device) included.

        A file counts by its checksum, or where that is not known yet by its identity.
        """
        text = json.dumps(self._facts(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _facts(self) -> dict[str, Plain]:
        return {
            "stage": self.stage,
            "inputs": {
                role: made._facts() if isinstance(made, Provenance) else made.checksum or dict(made.identity)
                for role, made in self.inputs.items()
            },
            "settings": dict(self.settings),
            "recorded": dict(self.recorded),
        }

    def to_json(self) -> dict[str, Plain]:
        """Give it as plain values."""
        return {
            "stage": self.stage,
            "inputs": {role: made.to_json() for role, made in self.inputs.items()},
            "settings": dict(self.settings),
            "recorded": dict(self.recorded),
        }

    @classmethod
    def from_json(cls, content: Plain) -> Provenance | None:
        """Read what `to_json` gave; None where it is something else, or damaged."""
        try:
            inputs: dict[str, Made] = {}
            for role, made in content["inputs"].items():
                inner = cls.from_json(made) if "stage" in made else _file_input(made)
                if inner is None:
                    return None
                inputs[str(role)] = inner
            return cls(
                str(content["stage"]), inputs, dict(content["settings"]), dict(content.get("recorded", {}))
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            return None

    def file(self, role: str) -> FileInput | None:
        """Give the file that it was made from in some role; None if that is no file."""
        made = self.inputs.get(role)
        return made if isinstance(made, FileInput) else None

    def with_file(self, role: str, file: FileInput) -> Provenance:
        """Give it with another file in a role."""
        return replace(self, inputs={**self.inputs, role: file})


def _same_file(old: Made, new: Made) -> bool:
    if not isinstance(old, FileInput) or not isinstance(new, FileInput):
        return False
    return None in (old.checksum, new.checksum) or old.checksum == new.checksum


def _file_input(content: Mapping[str, Plain]) -> FileInput:
    checksum = content["checksum"]
    return FileInput(
        str(content["name"]), None if checksum is None else str(checksum), dict(content["identity"])
    )


def _first_difference(old: Mapping[str, Plain], new: Mapping[str, Plain], place: str = "") -> str | None:
    for key in [*new, *(k for k in old if k not in new)]:
        a, b = old.get(key), new.get(key)
        if a == b and type(a) is type(b):
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if (inner := _first_difference(a, b, f"{place}{key}: ")) is not None:
                return inner
        elif a != b and _is_digest(a) and _is_digest(b):
            return f"{place}other {key}"
        elif a != b:
            return f"{place}{key} {_short(a)} and not {_short(b)}"
    return None


def _is_digest(value: Plain) -> bool:
    """Tell a checksum, which says nothing to people."""
    return isinstance(value, str) and re.fullmatch(r"(sha256:)?[0-9a-f]{64}", value) is not None


def _short(value: Plain) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
