"""Python types and JSON schemas: an answer as an object, arguments for a function.

`hints` turns a type into a JSON schema, `validation` checks a value against one, `building` makes
the Python object, `finding` gets JSON out of prose, `schema` is the whole for `--schema`. pydantic
is used where a type is one of its models, and never imported.
"""

from __future__ import annotations

from qwen_magic.tools.schema.schema import Schema
from qwen_magic.tools.schema.validation import SchemaMismatchError

__all__ = ["Schema", "SchemaMismatchError"]
