"""Location: where something is, a URL or an absolute path, opened where it is used.

A path that a user gives is made absolute once, at the border (command line, YAML, Python); from there on it means
the same in every process, whatever its working directory. This is the only place that writes
files whole or not at all, and that removes what lies in the way.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, Union

from deepict_dask.atomic import PARTIAL, make_folder, publish, read_whole, what_is_in_the_way
from deepict_dask.disk import disk_errors
from deepict_dask.errors import FormatError, InputError, MissingFileError, OutputExistsError

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
# What a process leaves that was killed while it wrote, unpacked or removed; nothing else begins so.
ASIDE, UNPACKED = ".removed-", ".unpacked-"
_Place = Union[str, "os.PathLike[str]", "Location"]
_Same = TypeVar("_Same")


@dataclass(frozen=True, order=True)
class Location:
    """Where something is.

    Attributes
    ----------
    url : str
        An absolute path of this machine's file system, or a URL with a scheme (``s3://bucket/key``).
        Use `of` to make one of what a user gives.
    """

    url: str

    @classmethod
    def of(cls, place: _Place, base: Location | None = None) -> Location:
        """Make what a user gives absolute.

        Parameters
        ----------
        place : str, Path or Location
            ``~`` stands for the user's home; ``file://`` is a path; other URLs stay as they are.
        base : Location, optional
            Folder that a relative path starts from; the working directory unless given.

        Examples
        --------
        >>> Location.of("s3://bucket/run").url, Location.of("a", Location("/data")).url
        ('s3://bucket/run', '/data/a')
        """
        if isinstance(place, Location):
            return place
        text = os.fspath(place)
        if "\0" in text:
            raise InputError(f"the path {text!r:.120} holds a NUL character; no file has such a name")
        if text.startswith("file://"):
            text = text.removeprefix("file://")
        if match := _SCHEME.match(text):
            # "C://" is no scheme of ours, but neither is it a path here.
            return cls(match.group(0) + text[match.end() :].rstrip("/"))
        if text.startswith("~"):
            text = os.path.expanduser(text)
        if base is not None and not base.is_local and not os.path.isabs(text):
            return base.join(*Path(text).parts)
        try:
            return cls(os.path.normpath(os.path.join(base.url if base is not None else os.getcwd(), text)))
        except FileNotFoundError as error:
            raise InputError(
                "the working directory was removed while this program stands in it; change to another one"
            ) from error

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        return str(self.local_path())

    @property
    def is_local(self) -> bool:
        """Whether it is a path of the file system."""
        return _SCHEME.match(self.url) is None

    def local_path(self) -> Path:
        """Give the path; InputError for a URL, which this version cannot open."""
        if not self.is_local:
            scheme = self.url.partition("://")[0]
            raise InputError(
                f"{self.url} is an address ({scheme}://), and this version reads and writes files only; copy it to a disk "
                "that every worker sees"
            )
        return Path(self.url)

    # ---- names

    @property
    def name(self) -> str:
        """Last part."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """Last suffix of the name, with its dot; empty if it has none."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return Path(self.name).stem

    @property
    def parent(self) -> Location:
        """The folder that it is in."""
        if self.is_local:
            return Location(os.path.dirname(self.url))
        head, _, _ = self.url.rstrip("/").rpartition("/")
        return Location(head)

    def join(self, *names: str) -> Location:
        """Give what lies below, by plain names.

        Raises
        ------
        InputError
            If a name is empty, absolute, or leads out of here: names are never paths.
        """
        parts = [part for name in names for part in name.split("/")]
        for part in parts:
            if part in ("", ".", "..") or "\0" in part:
                raise InputError(
                    f"{'/'.join(names)!r:.200} leads out of {self} or names nothing; give a plain name"
                )
        return Location("/".join([self.url.rstrip("/"), *parts]))

    def __truediv__(self, name: str) -> Location:
        return self.join(name)

    def with_name(self, name: str) -> Location:
        """Give its neighbor of that name."""
        return self.parent.join(name)

    def relative_to(self, folder: Location) -> str:
        """Say where it lies in a folder, as names joined by slashes."""
        prefix = folder.url.rstrip("/") + "/"
        if not self.url.startswith(prefix):
            raise InputError(f"{self} does not lie in {folder}")
        return self.url[len(prefix) :]

    # ---- what is there

    def exists(self) -> bool:
        """Whether anything is there, a dangling link included."""
        return os.path.lexists(self.local_path())

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self.local_path().is_file()

    def is_folder(self) -> bool:
        """Whether a folder is there."""
        return self.local_path().is_dir()

    def children(self) -> list[Location]:
        """List what is in a folder, sorted by name; what a killed process left is not shown."""
        try:
            names = os.listdir(self.local_path())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self._child(name) for name in sorted(names) if not is_leftover(name)]

    def files(self) -> Iterator[tuple[str, int]]:
        """List all files below a folder: name from here, and size in bytes; sorted, without leftovers."""
        top = self.local_path()
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders if not is_leftover(f))
            for name in sorted(names):
                if is_leftover(name):
                    continue
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    yield os.path.relpath(path, top).replace(os.sep, "/"), os.stat(path).st_size

    def size(self) -> int:
        """Size of a file in bytes."""
        return os.stat(self.local_path()).st_size

    def modified(self) -> float | None:
        """When it was written last, in seconds since 1970 by the clock of the file system; None if it is not there."""
        try:
            return os.stat(self.local_path()).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_bytes(self) -> bytes:
        """Read a whole file.

        Raises
        ------
        MissingFileError
            If there is none.
        """
        try:
            return read_whole(self.local_path())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFileError(f"{self} does not exist, or is not a file") from error

    def read_ends(self, n_bytes: int) -> tuple[bytes, bytes]:
        """Read the first and the last bytes of a file, which may be the same ones.

        Raises
        ------
        MissingFileError
            If there is none.
        """
        try:
            with self.local_path().open("rb") as file:
                head = file.read(n_bytes)
                file.seek(max(0, file.seek(0, os.SEEK_END) - n_bytes))
                return head, file.read(n_bytes)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFileError(f"{self} does not exist, or is not a file") from error

    def read_text(self) -> str:
        """Read a whole file of UTF-8; FormatError if it is none."""
        try:
            return self.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(f"{self} is not text in UTF-8 ({error.reason} at byte {error.start})") from None

    def read_json(self) -> Any:
        """Read a JSON file; FormatError if it is damaged."""
        try:
            return json.loads(self.read_text())
        except ValueError as error:
            raise FormatError(f"{self} is damaged: it is not JSON ({error})") from None

    # ---- writing, whole or not at all

    def check_folder(self) -> None:
        """Make sure that it is a folder or can be made one, without making it; OutputExistsError with what is in the way."""
        if (reason := what_is_in_the_way(self.local_path())) is not None:
            raise OutputExistsError(f"the folder {self} cannot be made: {reason}; name another folder")

    def make_folder(self) -> Location:
        """Make the folder and those above it.

        Raises
        ------
        OutputExistsError
            If a file is in the way.
        """
        make_folder(self.local_path())
        return self

    @contextlib.contextmanager
    def publish(self) -> Iterator[Path]:
        """Write a file: whole, when the block ends, or not at all.

        Yields
        ------
        pathlib.Path
            To write to; has the suffix of this location. It replaces what is here when the block ends without
            an error, and is removed otherwise.
        """
        with publish(self.local_path()) as path:
            yield path

    def write(self, content: bytes | str) -> Location:
        """Write a file, whole or not at all; text becomes UTF-8."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        with self.publish() as path:
            path.write_bytes(data)
        return self

    def write_beside(self, data: bytes) -> None:
        """Write a file, whole or not at all, into a folder that may be gone; then do nothing."""
        partial = self.local_path().with_name(f"{PARTIAL}{uuid.uuid4().hex[:12]}")
        try:
            with disk_errors(self.local_path()):
                partial.write_bytes(data)
                os.replace(partial, self.local_path())
        except (FileNotFoundError, NotADirectoryError):
            return
        finally:
            with contextlib.suppress(NotADirectoryError):
                partial.unlink(missing_ok=True)

    def write_json(self, content: Any) -> Location:
        """Write a JSON file, whole or not at all."""
        return self.write(json.dumps(content, indent=2) + "\n")

    def append(self, text: str) -> None:
        """Add to a file of lines, such as a log; what a crash cuts off is the last line only."""
        with open(self.local_path(), "a", encoding="utf-8") as file:
            file.write(text)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Location]:
        """Make an empty folder in this one; what is moved out of it with `take` stays, the rest is removed at the end."""
        staged = self._child(f"{PARTIAL}{uuid.uuid4().hex[:12]}")
        make_folder(staged.local_path())
        try:
            yield staged
        finally:
            shutil.rmtree(staged.local_path(), ignore_errors=True)

    def take(self, file: Location) -> None:
        """Move a file here, from a place on the same disk; it replaces what is here.

        Raises
        ------
        OutputExistsError
            If a folder is here, or a file where a folder is needed.
        """
        make_folder(self.parent.local_path())
        try:
            os.replace(file.local_path(), self.local_path())
        except IsADirectoryError as error:
            raise OutputExistsError(
                f"{self} is a folder, and a file is to be written there; move it"
            ) from error

    def remove(self) -> None:
        """Remove a file or folder, if it is there.

        A folder is moved aside first, so that a process that is killed meanwhile leaves nothing half there.
        """
        path = self.local_path()
        if path.is_dir() and not path.is_symlink():
            aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
            try:
                path.rename(aside)
            except FileNotFoundError:
                return
            shutil.rmtree(aside)
        else:
            path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove what killed processes of this program left directly in a folder; only for who has claimed it.

        Files of others that are half-written (``movie.mrc.partial``) stay.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in os.listdir(self.local_path()):
                if name.startswith((PARTIAL, ASIDE, UNPACKED)):
                    path = self.local_path() / name
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(
                        missing_ok=True
                    )

    def _child(self, name: str) -> Location:
        return Location(self.url.rstrip("/") + "/" + name)


def is_leftover(name: str) -> bool:
    """Tell from its name whether a file or folder was left by a process that was killed.

    Zarr's own half-written files end in ``.partial``.
    """
    return name.startswith((PARTIAL, ASIDE, UNPACKED)) or name.endswith(".partial")
