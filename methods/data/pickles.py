"""Pickles of plain values and arrays, such as CIFAR's, read without running what a pickle could run."""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from methods.errors import ReproError

# all that protocols 2 to 4 need for dictionaries, lists, tuples, texts, bytes, numbers and arrays
_INSTRUCTIONS = (
    *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)
_DEPTH = 16  # CIFAR's pickles are lists in a dictionary
_PLAIN_TYPE = re.compile(r"b1|[iuf][1248]")
_ARRAY_CLASS = "numpy.ndarray"  # a pickle only ever hands the class on to _reconstruct


def restricted_loads(content: bytes, name: str) -> Any:
    """The value of a pickle that holds dictionaries with texts as keys, lists, texts, numbers and plain arrays.

    Args:
        content: the pickle; 8-bit texts of Python 2 are read as Latin-1.
        name: of the file, for messages.

    Raises:
        ReproError: the pickle is damaged or asks for anything else, which is not run.
    """
    try:
        value = _Reader(content).load()
        _check_depth(value)
    except Exception as error:  # hostile bytes make pickle and numpy raise exceptions of any kind
        kind = "" if isinstance(error, pickle.UnpicklingError) else f"{type(error).__name__} "
        reason = f"{kind}{error}"[:200].strip()
        raise ReproError(
            f"{name} is no pickle of plain values and arrays ({reason}): it is damaged or not what it claims to be. "
            "Nothing in it was run; get it again from its official source."
        ) from error
    return value


_PythonUnpickler: Any = pickle._Unpickler


class _Reader(_PythonUnpickler):
    """The unpickler written in Python: unlike the fast one it can be kept to a few instructions."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._size = self._array_bytes_left = len(content)

    def find_class(self, module: str, name: str) -> Any:
        """Harmless stand-ins for the three names that arrays need."""
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return _GLOBALS[module, name]

    def _set_items(self, target: Any, items: list[Any]) -> None:
        # only texts as keys: the hash of nested tuples can overflow the stack or never end
        if type(target) is not dict or any(type(key) is not str for key in items[::2]):
            raise pickle.UnpicklingError("it has a dictionary with keys that are not texts")
        target.update(zip(items[::2], items[1::2], strict=True))

    def frame(self) -> None:
        """Instruction FRAME: only a hint how much to read at once, so its contents are read as if there were none."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:
            raise pickle.UnpicklingError(f"it has a frame of {size} bytes and only {self._size} bytes")

    def long_put(self) -> None:
        """Instruction LONG_BINPUT: keep a value under a number."""
        number = int.from_bytes(self.read(4), "little")
        if number > self._size:  # a pickle counts its values, each of which takes a byte at least
            raise pickle.UnpicklingError(f"it numbers a value {number} and has {self._size} bytes")
        self.memo[number] = self.stack[-1]

    def set_item(self) -> None:
        """Instruction SETITEM."""
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items(self.stack[-1], [key, value])

    def set_items(self) -> None:
        """Instruction SETITEMS."""
        items = self.pop_mark()
        self._set_items(self.stack[-1], items)

    def build(self) -> None:
        """Instruction BUILD: give an array or a type its state, after checking it."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            state = _array_state(*state)
            self._array_bytes_left -= len(state[-1])
            if self._array_bytes_left < 0:
                raise pickle.UnpicklingError("its arrays are larger than the file")
        elif not isinstance(target, np.dtype) or not _is_plain_state(state):
            raise pickle.UnpicklingError(f"it sets the state of a {type(target).__name__}")
        target.__setstate__(state)

    def refuse(self) -> None:
        """Any other instruction."""
        raise pickle.UnpicklingError("it uses an instruction that plain values and arrays do not need")


def _dispatch() -> dict[int, Callable[[_Reader], None]]:
    codes = {instruction.name: ord(instruction.code) for instruction in pickletools.opcodes}
    found: dict[int, Callable[[_Reader], None]] = dict.fromkeys(range(256), _Reader.refuse)
    found |= {codes[name]: _PythonUnpickler.dispatch[codes[name]] for name in _INSTRUCTIONS}
    own = {"SETITEM": _Reader.set_item, "SETITEMS": _Reader.set_items}
    own |= {"BUILD": _Reader.build, "FRAME": _Reader.frame, "LONG_BINPUT": _Reader.long_put}
    return found | {codes[name]: method for name, method in own.items()}


_Reader.dispatch = _dispatch()


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    """Stand-in for numpy's: an empty array, whose state follows; the shape given here is ignored."""
    if kind is not _ARRAY_CLASS:
        raise pickle.UnpicklingError("it makes something other than an array")
    return np.empty(0, dtype=np.uint8)


def _dtype(kind: object, *flags: object) -> np.dtype:
    """Stand-in for ``numpy.dtype``: a copy, since a pickle goes on to set its byte order."""
    if not isinstance(kind, str) or not _PLAIN_TYPE.fullmatch(kind):
        raise pickle.UnpicklingError(f"it has an array of type {str(kind)[:20]!r}, expected whole numbers or floats")
    return np.dtype(kind, copy=True)


def _is_plain_state(state: Any) -> bool:
    """Whether a type's state says its byte order and nothing else."""
    plain = type(state) is tuple and len(state) == 8 and state[1] in ("|", "<", ">", "=")
    return plain and state[0] == 3 and state[2:] == (None, None, None, -1, -1, 0)


def _array_state(version: int, shape: tuple[int, ...], dtype: np.dtype, fortran: bool, data: Any) -> tuple[Any, ...]:
    """The state with its data as bytes.

    Raises:
        pickle.UnpicklingError: type, shape and data do not fit each other.
    """
    content = data.encode("latin1") if type(data) is str else data
    plain = type(shape) is tuple and len(shape) <= 8 and all(type(side) is int and side >= 0 for side in shape)
    if not plain or not isinstance(dtype, np.dtype) or type(content) is not bytes:
        raise pickle.UnpicklingError("it has an array without plain shape, type and data")
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError(f"it has an array of shape {shape} with {len(content)} bytes of data")
    return version, shape, dtype, bool(fortran), content


def _check_depth(value: Any) -> None:
    """Refuse a value nested deeper than readers can walk; layer by layer, each object once a layer."""
    layer = [value]
    for _ in range(_DEPTH):
        layer = list({id(child): child for outer in layer for child in _children(outer)}.values())
    if layer:
        raise pickle.UnpicklingError(f"its values are nested deeper than {_DEPTH} levels")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}
