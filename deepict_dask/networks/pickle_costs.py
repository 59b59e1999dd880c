"""What loading a pickle would cost, found from its opcodes before anything is made of them."""

from __future__ import annotations

import pickletools
from typing import Any

_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET = {"GET", "BINGET", "LONG_BINGET"}
# Nothing in a pickle of some bytes needs this many parts of one key, the sharing of small tuples included.
_PARTS_PER_BYTE, _PARTS = 10, 1000


def is_modest(content: bytes) -> bool:
    r"""Tell whether loading a pickle takes memory and time in proportion to its length.

    Strings and numbers that are longer than what follows are refused by pickletools itself (ValueError). Left are the
    table of what is used again, which is as long as the largest number in it; frames; and tuples that share their
    parts: as the key of a dictionary each is gone through as often as it is reached, two to their depth.

    Parameters
    ----------
    content : bytes
        One pickle.

    Examples
    --------
    >>> import pickle
    >>> is_modest(pickle.dumps({"a": (1, 2)})), is_modest(b"}r\xff\xff\xff\x03.")
    (True, False)
    """
    # Of each value on the stack the parts that hashing it goes through; None is a mark.
    stack: list[int | None] = []
    memo: dict[int, int | None] = {}
    most = _PARTS + _PARTS_PER_BYTE * len(content)
    for n_before, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        name = opcode.name
        number = argument if isinstance(argument, int) else 0
        if name == "FRAME" and number > len(content) - (position or 0):
            return False
        if name == "MARK":
            stack.append(None)
        elif name in _PUT:
            if number > n_before:  # pickles count up
                return False
            memo[len(memo) if name == "MEMOIZE" else number] = stack[-1]
        elif name in _GET:
            stack.append(memo.get(number, 1))
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            parts = _take(stack, opcode.stack_before)
            made = 1 + sum(parts) if name in _TUPLES else 1
            if made > most:
                return False
            stack += [made] * len(opcode.stack_after)
    return True


def _take(stack: list[int | None], before: list[Any]) -> list[int]:
    """Take what an opcode needs off the stack."""
    n = len(before)
    parts: list[int] = []
    if pickletools.markobject in before:
        while (part := stack.pop()) is not None:
            parts.append(part)
        n = before.index(pickletools.markobject)
    # Damaged pickles take more than there is; loading them says so.
    taken = stack[len(stack) - n :] if n else []
    del stack[len(stack) - len(taken) :]
    return parts + [part for part in taken if part is not None]
