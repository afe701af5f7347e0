"""Values against JSON schemas."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwen_magic.errors import UsageError
from qwen_magic.tools.validation import MOST_FAULTS, find_faults


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        ({"type": "integer"}, True, "the whole: expected integer, got true"),
        ({"type": ["string", "null"]}, 1, "the whole: expected string or null, got 1"),
        ({"enum": [1]}, True, "the whole: expected one of 1, got true"),
        ({"const": "a"}, "b", 'the whole: expected "a", got "b"'),
        ({"items": {"minimum": 2}}, [2, 1], "[1]: expected at least 2, got 1"),
        ({"exclusiveMaximum": 2}, 2, "the whole: expected less than 2, got 2"),
        ({"multipleOf": 0.1}, 0.25, "the whole: expected a multiple of 0.1, got 0.25"),
        ({"minLength": 2}, "a", "the whole: expected at least 2 characters, got 1"),
        ({"maxItems": 1}, [1, 2], "the whole: expected at most 1 items, got 2"),
        ({"minProperties": 1}, {}, "the whole: expected at least 1 properties, got 0"),
        ({"uniqueItems": True}, [{"a": 1}, {"a": 1}], "the whole: has an item twice"),
        ({"pattern": "^a+$"}, "ab", 'the whole: "ab" does not match the pattern ^a+$'),
        ({"prefixItems": [{"type": "null"}], "items": False}, [None, 1], "[1]: nothing is allowed"),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 4, "the whole: expected at most 3, got 4"),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, 2, "the whole: fits 2 of the options"),
        ({"not": {"type": "null"}}, None, "the whole: null is what may not stand here"),
        ({"additionalProperties": {"type": "null"}}, {"a b": 1}, '["a b"]: expected null, got 1'),
        (
            {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "null"}]},
            {},
            "a: is missing",
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "the whole: 'b' is a dependency of 'a'"),
        ({"contains": {"const": 1}}, [2], "the whole: [2] does not contain items matching"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "the whole: expected at most 1 char"),
        ({"if": {"minimum": 5}, "then": {"maximum": 7}}, 8, "the whole: expected at most 7, got 8"),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"b": 1}, "the whole: "),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]},
            [1],
            "[0]: expected null, got 1",
        ),
        (
            {"$defs": {"x": {"$anchor": "a", "type": "null"}}, "$ref": "#a"},
            1,
            "the whole: expected",
        ),
        (
            {"$defs": {"a/b": {"type": "null"}}, "items": {"$ref": "#/$defs/a~1b"}},
            [1],
            "[0]: expected null, got 1",
        ),
    ],
)
def test_faults(schema, value, fault):
    found = find_faults(value, schema)
    assert len(found) == 1
    assert str(found[0]).startswith(fault)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, object),
        ({"type": "integer"}, 5.0),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"pattern": "(?<broken"}, "x"),
        ({"type": "made-up"}, 1),
        ({"format": "date", "type": "string"}, "no date"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "x"),
        ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1}),
    ],
)
def test_what_fits(schema, value):
    assert find_faults(value, schema) == []


def test_a_schema_that_holds_itself_ends():
    tree = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}
    assert find_faults([[], [[]]], tree) == []
    assert str(find_faults([[], [[1]]], tree)[0]) == "[1][0][0]: expected array, got 1"
    deep: list = []
    for _ in range(500):
        deep = [deep]
    assert find_faults(deep, tree) == []


@pytest.mark.parametrize("reference", ["#/$defs/no", "https://x.test/s.json", "#/$defs/loop"])
def test_references_that_lead_nowhere(reference):
    schema = {"$ref": reference, "$defs": {"loop": {"$ref": "#/$defs/loop"}}}
    with pytest.raises(UsageError, match="leads nowhere"):
        find_faults(1, schema)


def test_a_message_is_no_longer_than_helps():
    [fault] = find_faults(["x" * 10_000], {"contains": {"const": 1}})
    assert len(fault.message) <= 300


def test_what_is_no_schema():
    with pytest.raises(UsageError, match="no valid JSON schema"):
        find_faults({"a": 1}, {"properties": ["a"]})


def test_the_library_comes_with_the_first_check():
    code = (
        "import sys, qwen_magic.tools.definition as d, qwen_magic.tools.answer_schema as a; "
        "d.FunctionTool.of(lambda x: x); a.Schema.of({'type': 'object'}).prompt(); "
        "sys.exit('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_more_faults_than_help():
    assert len(find_faults([1] * 100, {"items": {"type": "null"}})) == MOST_FAULTS


@pytest.mark.parametrize(
    ("schema", "fitting", "other"),
    [
        # of the official suite of JSON Schema 2020-12, which passes but for what is fetched
        ({"prefixItems": [{"type": "integer"}, {"$ref": "#/prefixItems/0"}]}, [1, 2], [1, "a"]),
        ({"$defs": {"a%b": {"type": "integer"}}, "$ref": "#/$defs/a%25b"}, 1, "a"),
        ({"$defs": {'a"b': {"type": "integer"}}, "$ref": "#/$defs/a%22b"}, 1, "a"),
        ({"$defs": {"a/b~": {"type": "integer"}}, "$ref": "#/$defs/a~1b~0"}, 1, "a"),
        ({"$defs": {"a": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"}, 1, "a"),
        (
            {
                "$id": "http://example.com/base.json",
                "properties": {"foo": {"$ref": "inner.json"}},
                "$defs": {
                    "in": {
                        "$id": "inner.json",
                        "$defs": {"deep": {"type": "string"}},
                        "$ref": "#/$defs/deep",
                    }
                },
            },
            {"foo": "a"},
            {"foo": 1},
        ),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"minLength": 1}, {"type": 1}),
        ({"anyOf": [False, {"type": "null"}]}, None, 1),
        ({"anyOf": [{"type": "null"}, True]}, 1, ...),
        ({"properties": {"$ref": {"type": "string"}}}, {"$ref": "a"}, {"$ref": 2}),
        ({"const": {"$ref": "#/nowhere"}}, {"$ref": "#/nowhere"}, {"$ref": ""}),
        ({"unevaluatedProperties": False, "properties": {"a": True}}, {"a": 1}, {"b": 1}),
        ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, 2, "a"),
    ],
)
def test_what_the_official_suite_asks_for(schema, fitting, other):
    assert find_faults(fitting, schema) == []
    if other is not ...:
        assert find_faults(other, schema)


def test_options_that_allow_nothing():
    assert find_faults(1, {"anyOf": [False, False]})
    assert find_faults(1, {"oneOf": [False, False]})


def test_a_reference_that_leads_to_itself():
    for schema in ({"$ref": "#"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}):
        with pytest.raises(UsageError, match="leads nowhere"):
            find_faults(1, schema)
