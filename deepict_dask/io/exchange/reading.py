"""What a reader of another program's files is told, and what it tells: files that it opened, sentences for the user."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepict_dask.errors import FormatError
from deepict_dask.io.exchange.frame import Geometry


@dataclass
class Journal:
    """What happened while files were read; one for all files of a command.

    Attributes
    ----------
    files : list of Path
        All that were opened, companions included, in that order: what is made of them is made anew when one changes.
    sentences : list of str
        What the user should know of how they were understood.
    """

    files: list[Path] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What is known of files that come from another program.

    Attributes
    ----------
    geometry : Geometry
        What the user said of pixels and origins.
    tomogram : str
        Of all rows, where no file says.
    class_name : str
        The same of the class.
    user, session : str
        Whose picks of a copick project are read; empty for those of anybody.
    journal : Journal
        Written by the readers.
    """

    geometry: Geometry = field(default_factory=Geometry)
    tomogram: str = ""
    class_name: str = ""
    user: str = ""
    session: str = ""
    journal: Journal = field(default_factory=Journal, compare=False)

    def opening(self, path: Path) -> Path:
        """Note a file that is about to be read, and give it back."""
        if path not in self.journal.files:
            self.journal.files.append(path)
        return path

    def text(self, path: Path) -> str:
        """Read a text file, and note it.

        Raises
        ------
        FormatError
            If it is no text in UTF-8.
        """
        try:
            return self.opening(path).read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{path} is no text in UTF-8 (byte {error.start}), so it is damaged or something else than its name says; "
                "export it again, or give its --format"
            ) from error

    def say(self, sentence: str) -> None:
        """Note a sentence for the user; one that was said already is not said again."""
        if sentence not in self.journal.sentences:
            self.journal.sentences.append(sentence)


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What the object should be, for sentences: ``"picks of copick"``.

    Raises
    ------
    FormatError
        If it is no JSON, or holds something else than an object.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise FormatError(
            f"{path} is not {what}: it holds no JSON object; check the path, or say another --format"
        )
    return content
