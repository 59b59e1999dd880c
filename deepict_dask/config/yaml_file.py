"""Settings files: YAML read with its lines in mind, so that a mistake is named by file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deepict_dask.atomic import read_whole
from deepict_dask.errors import MissingFileError, SettingsError

Place = Sequence[str | int]
# Far more than any settings have, and few enough to look at in a moment.
_MOST_VALUES = 100_000


@dataclass(frozen=True)
class YamlFile:
    """A settings file that was read.

    Attributes
    ----------
    path : Path
        Where it is.
    tree : dict
        Its content, not yet validated.
    root : yaml.Node or None
        The same with lines and what was written; None if it is empty.
    """

    path: Path
    tree: dict[str, Any]
    root: yaml.Node | None

    def line_of(self, place: Place) -> int | None:
        """Give the line of a key, or of the list entry, counted from 1; None if it is not in the file."""
        node = self._node(place)
        return None if node is None else node.start_mark.line + 1

    def text_of(self, place: Place) -> str | None:
        """Give what is written there if it is neither in quotes nor a mapping or list."""
        node = self._node(place)
        return node.value if isinstance(node, yaml.ScalarNode) and node.style is None else None

    def _node(self, place: Place) -> yaml.Node | None:
        node = self.root
        for part in place:
            if isinstance(node, yaml.MappingNode):
                node = next((value for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return None
        return node


class _Loader(yaml.SafeLoader):
    """Reads numbers as people mean them: 1e-3 is a float, and 0100 is a hundred."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:int"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9][0-9_]*$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value.replace("_", "")))


def read_yaml_file(path: Path, command: str = "settings") -> YamlFile:
    """Read a settings file.

    Parameters
    ----------
    path : Path
        UTF-8, with or without a byte order mark.
    command : str
        The `deepict-dask` command that prints a file to begin with, for the errors.

    Raises
    ------
    MissingFileError
        If it is not there.
    SettingsError
        If it is no YAML in UTF-8, holds no keys, holds one twice or one that is a number to YAML.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise MissingFileError(
            f"settings file {path} does not exist; `deepict-dask {command} > {path.name}` writes one"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"settings file {path} is not UTF-8 (at byte {error.start}); save it as UTF-8 text"
        ) from None
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from None
    tree, root = _parsed(text, path)
    if tree is not None and not isinstance(tree, dict):
        raise SettingsError(
            f"settings file {path} must hold keys with their values; `deepict-dask {command}` lists all"
        )
    return YamlFile(path, tree or {}, root)


def _parsed(text: str, path: Path) -> tuple[Any, yaml.Node | None]:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None, None
        problem = _problem_of_aliases(root) or _problem_of_keys(root)
        if problem is None:
            return loader.construct_document(root), root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        reason = f"{line}{error.problem or error.context}"
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
    else:
        raise SettingsError(f"{path}, {problem}")
    raise SettingsError(f"settings file {path} is not readable as YAML: {reason}")


def read_yaml_value(text: str, what: str) -> Any:
    """Read one value as a settings file would have it.

    Parameters
    ----------
    text : str
        On one line.
    what : str
        Where it stands, for the error.

    Raises
    ------
    SettingsError
        If it is not YAML.
    """
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError):
        raise SettingsError(f"{what}: the value is not readable as YAML") from None


def _problem_of_aliases(root: yaml.Node) -> str | None:
    """Find aliases that make a small file a huge one, or endless; None if there are none."""
    sizes: dict[int, int] = {}
    within: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in within:
            return _MOST_VALUES + 1
        if id(node) not in sizes:
            within.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            within.remove(id(node))
        return sizes[id(node)]

    if size(root) <= _MOST_VALUES:
        return None
    return f"line {root.start_mark.line + 1}: it stands for more than {_MOST_VALUES} values; write fewer, or no aliases"


def _problem_of_keys(root: yaml.Node) -> str | None:
    """Find a key that is no text, or is there twice; None if all are right."""
    for mapping in _mappings(root):
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                return f"line {line}: a key is a name, not a list or mapping"
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                return (
                    f'line {line}: the key {key.value} is no text to YAML; write it in quotes: "{key.value}"'
                )
            if key.value in lines:
                first = lines[key.value]
                return (
                    f"line {line}: the key {key.value!r} is there already, in line {first}; keep one of them"
                )
            lines[key.value] = line
    return None


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Give all mappings of a document, each once also where aliases meet it again."""
    visited: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
        waiting += _children(node)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [value for _, value in node.value]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
