"""Values found by name in what a prompt says: none is invented."""

import pytest

from qwen_magic.demo.schema.finding import find
from qwen_magic.demo.schema.fitting import fits
from qwen_magic.demo.schema.sources import Source, prompt_source
from qwen_magic.demo.schema.wish import is_repair, wished_schema, without_wish
from qwen_magic.demo.turn import Turn
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.validation import SchemaFault, SchemaMismatchError, find_faults

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
YES_NO, DAY = {"type": "boolean"}, {"type": "string", "format": "date"}
TEXTS, NUMBERS = {"type": "array", "items": TEXT}, {"type": "array", "items": NUMBER}
COLOUR = {"enum": ["Red", "Green"]}
MAYBE = {"anyOf": [TEXT, {"type": "null"}]}


def wanted(properties, required=None):
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def found(prompt, schema):
    return find(schema, [prompt_source(Turn(prompt))])


@pytest.mark.parametrize(
    ("prompt", "properties", "value"),
    [
        ("name: John", {"name": TEXT}, {"name": "John"}),
        ("name = John.", {"name": TEXT}, {"name": "John"}),
        ("The name is John.", {"name": TEXT}, {"name": "John"}),
        ("The NAME is 'john smith', or so", {"name": TEXT}, {"name": "john smith"}),
        ("My name is John Smith from Paris", {"name": TEXT}, {"name": "John Smith"}),
        ("My name is John and my age is 30", {"name": TEXT, "age": WHOLE},
         {"name": "John", "age": 30}),
        ("**Name**: Mr. Smith\n- age: 3", {"name": TEXT, "age": WHOLE},
         {"name": "Mr. Smith", "age": 3}),
        ("name: John, age: 30; member: yes", {"name": TEXT, "age": WHOLE, "member": YES_NO},
         {"name": "John", "age": 30, "member": True}),
        ("title: War and Peace\npages: 1,225", {"title": TEXT, "pages": WHOLE},
         {"title": "War and Peace", "pages": 1225}),
        ("address: 5 High St, London", {"address": TEXT}, {"address": "5 High St, London"}),
        ("orbital period = 5.5", {"orbital_period": NUMBER}, {"orbital_period": 5.5}),
        ("Orbital_Period: -5e3", {"orbitalPeriod": NUMBER}, {"orbitalPeriod": -5000.0}),
        ("It has a distance of 3; distance 414 million km", {"distance": NUMBER},
         {"distance": 414000000}),
        ("John, 30 years old", {"age": WHOLE}, {"age": 30}),
        ("I am 30.", {"age": WHOLE}, {"age": 30}),
        ("born: 1994-02-03, seen on 2020-01-01", {"born": DAY}, {"born": "1994-02-03"}),
        ("It was on 2020-01-01.", {"date": DAY}, {"date": "2020-01-01"}),
        ("Write to ada@lovelace.org.", {"email": TEXT}, {"email": "ada@lovelace.org"}),
        ("active: no", {"active": YES_NO}, {"active": False}),
        ("colour is green.", {"colour": COLOUR}, {"colour": "Green"}),
        ("tags: red, dark green and blue. More.", {"tags": TEXTS},
         {"tags": ["red", "dark green", "blue"]}),
        ("tags:\n- red\n- dark green\nsize: 3", {"tags": TEXTS, "size": WHOLE},
         {"tags": ["red", "dark green"], "size": 3}),
        ("values = 3, 1 and 4.5", {"values": NUMBERS}, {"values": [3, 1, 4.5]}),
        ("values: 1,2,3", {"values": NUMBERS}, {"values": [1, 2, 3]}),
        ("values: [1, 2]", {"values": NUMBERS}, {"values": [1, 2]}),
        ("nick: none", {"nick": MAYBE}, {"nick": None}),
        ("nick: Jo", {"nick": MAYBE}, {"nick": "Jo"}),
        ('who: {"name": "Ann"}', {"who": wanted({"name": TEXT})}, {"who": {"name": "Ann"}}),
        ('Say {"a": 1}', {"a": WHOLE}, {"a": 1}),
    ],
)  # fmt: skip
def test_what_the_prompt_says_is_found(prompt, properties, value):
    schema = wanted(properties)
    assert found(prompt, schema).value == value
    assert not found(prompt, schema).missing
    assert not find_faults(value, schema), "the product takes it"


@pytest.mark.parametrize(
    ("prompt", "properties"),
    [
        ("The largest city of Japan.", {"name": TEXT}),
        ("What name is right?", {"name": TEXT}),
        ("Is the name John?", {"name": TEXT}),
        ("The name is missing.", {"name": TEXT}),
        ("The name is not known to me", {"name": TEXT}),
        ("file name: x.csv", {"name": TEXT}),
        ("The game is over", {"name": TEXT}),
        ("name: ", {"name": TEXT}),
        ("How old is John?", {"age": WHOLE}),
        ("age: thirty", {"age": WHOLE}),
        ("age: 2024-01-02", {"age": WHOLE}),
        ("age is 200", {"age": {**WHOLE, "maximum": 150}}),
        ("born: in spring", {"born": DAY}),
        ("from 2020-01-01 to 2020-02-01", {"date": DAY}),
        ("colour: blue", {"colour": COLOUR}),
        ("values: 1, two", {"values": NUMBERS}),
        ("tags: red or green", {"tags": TEXTS}),
        ("I want a 5 star hotel", {"a": WHOLE}),
        ("```python\nage = 3\n```", {"age": WHOLE}),
        ('{"b": 1}', {"a": WHOLE}),
    ],
)
def test_what_the_prompt_does_not_say_is_missing(prompt, properties):
    nothing = found(prompt, wanted(properties))
    assert nothing.value == {}
    assert nothing.missing == tuple(properties)


def test_an_optional_value_is_left_out():
    half = found("name: Bob", wanted({"name": TEXT, "age": WHOLE}, ["name"]))
    assert (half.value, half.missing, half.without) == ({"name": "Bob"}, (), ("age",))


def test_references_and_choices_are_followed():
    person = wanted({"name": TEXT})
    schema = {"$ref": "#/$defs/Person", "$defs": {"Person": person}}
    assert found("name: Bob", schema).value == {"name": "Bob"}
    either = {"anyOf": [wanted({"size": WHOLE}), person]}
    assert found("name: Bob", either).value == {"name": "Bob"}
    assert found("Sort: red, green", TEXTS).value == ["red", "green"]
    assert found("Sort them", TEXTS).missing


def test_the_surest_source_serves():
    schema = wanted({"mean": NUMBER, "n": WHOLE})
    printed = Source("the run", pairs=(("variance (sample)", "2"), ("mean", "1,234.5")))
    said = Source("the prompt", text="mean: 1, n: 3")
    both = find(schema, [printed, said])
    assert both.value == {"mean": 1234.5, "n": 3}
    assert both.where == ("the run", "the prompt")
    assert find(wanted({"variance": NUMBER}), [printed]).value == {"variance": 2}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, WHOLE), (1.5, WHOLE), (True, WHOLE), (1.0, WHOLE), ("1", NUMBER), (None, MAYBE),
        ("x", {"const": "x"}), ([1, "a"], NUMBERS), ([], {**NUMBERS, "minItems": 1}),
        ("abc", {"type": "string", "maxLength": 2}), ("b", {"pattern": "^a"}),
        (3, {"exclusiveMinimum": 3}), (3, {"minimum": 3, "exclusiveMaximum": 4}),
        ({"a": 1}, wanted({"a": TEXT})), ({}, wanted({"a": TEXT})), ({}, wanted({"a": TEXT}, [])),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}),
        ([1, "a"], {"prefixItems": [WHOLE, TEXT]}), (2, {"oneOf": [WHOLE, NUMBER]}),
        (2, {"allOf": [WHOLE, {"minimum": 3}]}), (True, {"enum": [1]}), (1, {}), (1, {"type": "x"}),
        ({"n": {"n": {}}}, {"properties": {"n": {"$ref": "#"}}, "additionalProperties": False}),
    ],
)  # fmt: skip
def test_the_demo_judges_as_the_product_does(value, schema):
    assert fits(value, schema, schema) == (not find_faults(value, schema))


def test_the_wish_is_the_products():
    schema = {"type": "object", "properties": {"a": {"description": "```json\nx\n```"}}}
    wish = Schema.of(schema, "wish").prompt()
    assert wished_schema(f"Hello\n\n{wish}") == schema
    assert without_wish(f"Hello\n\n{wish}") == "Hello"
    assert wished_schema("Hello\n\n```json\n{}\n```") is None
    fault = SchemaMismatchError("No.", [SchemaFault("a", "is missing")])
    repair = Schema.of(schema, "wish").retry_prompt(fault)
    assert is_repair(repair)
    assert without_wish(repair) == ""
    assert not is_repair(f"Hello\n\n{wish}")
    assert not is_repair("Which value is missing?")
