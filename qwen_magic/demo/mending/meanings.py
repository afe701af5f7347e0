"""What the common exceptions mean, in a sentence each."""

from __future__ import annotations

_MEANINGS = {
    "NameError": "a name is used that nothing was assigned to yet, in this kernel",
    "UnboundLocalError": "a function reads a variable of its own before it assigns it",
    "KeyError": "a dict has no such key, or a DataFrame no such column or row",
    "IndexError": "a list, or another sequence, has no item at that place",
    "ZeroDivisionError": "something is divided by zero",
    "TypeError": "an operation or function got a value of a type that it does not take",
    "ValueError": "a value has the right type, but cannot be used like that",
    "AttributeError": "an object has no attribute or method of that name",
    "ModuleNotFoundError": "a module is imported that this kernel's Python does not have",
    "ImportError": "a module has nothing of the name that is imported from it",
    "FileNotFoundError": "there is no file at that path, seen from the kernel's folder",
    "PermissionError": "the system does not let this program do that",
    "SyntaxError": "the cell is no Python as it is written, so that none of it was run",
    "IndentationError": "the lines are not indented as Python needs it",
    "RecursionError": "a function calls itself without an end",
    "MemoryError": "there is not enough memory for that",
    "AssertionError": "a condition that the code itself asserts does not hold",
    "KeyboardInterrupt": "the cell was stopped",
    "StopIteration": "an iterator was asked for more than it has",
    "UnicodeDecodeError": "bytes are read as text in another encoding than theirs",
    "OverflowError": "a number is too large for its type",
    "TimeoutError": "something did not answer in time",
}


def meaning(kind: str) -> str:
    """What an exception of this kind means; empty for one that is not known."""
    return _MEANINGS.get(kind, "")
