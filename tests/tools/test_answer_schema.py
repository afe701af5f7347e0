"""Answers as objects."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.errors import UsageError
from qwen_magic.tools.answer_schema import Schema, candidates, named_type
from qwen_magic.tools.type_schema import schema_of
from qwen_magic.tools.validation import SchemaMismatchError

unhurried = settings(deadline=None)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Nothing:
    """No type of JSON."""


class Odd(enum.Enum):
    PAIR = (1, 2)


class Place(TypedDict):
    city: str
    country: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class Person:
    """Someone."""

    name: str
    born: datetime.date
    colour: Colour = Colour.RED
    places: list[Place] = dataclasses.field(default_factory=list)
    height: Annotated[float | None, "in metres"] = None
    parent: Person | None = None


@dataclasses.dataclass
class Even:
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("it is odd")


PERSON = {
    "name": "Ann",
    "born": "2001-02-03",
    "colour": "blue",
    "places": [{"city": "Bonn"}],
    "height": 2,
    "parent": {"name": "Bob", "born": "1970-01-01"},
}


def test_a_dataclass_is_asked_for_found_and_built():
    schema = Schema.of(Person)
    assert '"name": {\n' in schema.prompt()
    assert "in metres" in schema.prompt()
    text = f"Here it is:\n\n```json\n{json.dumps(PERSON)}\n```\nAnything else?"
    person = schema.parse(text)
    assert person == Person(
        "Ann",
        datetime.date(2001, 2, 3),
        Colour.BLUE,
        [{"city": "Bonn"}],
        2.0,
        Person("Bob", datetime.date(1970, 1, 1)),
    )
    assert type(person.height) is float


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": 5}, "name: expected string, got 5"),
        ({"colour": "green"}, 'colour: expected one of "red", "blue", got "green"'),
        ({"places": [{"city": "x"}, {}]}, "places[1].city: is missing"),
        ({"places": "x"}, 'places: expected array, got "x"'),
        ({"extra key": 1}, '["extra key"]: is not known; the names are name, born, '),
        ({"height": "tall"}, 'height: "tall" fits none of the 2 options'),
        ({"parent": {"name": "x"}}, "parent.born: is missing"),
        ({"born": "yesterday"}, 'born: "yesterday" was refused: ValueError: '),
    ],
)
def test_faults_name_their_place(change, fault):
    with pytest.raises(SchemaMismatchError) as caught:
        Schema.of(Person).validate({**PERSON, **change})
    assert str(caught.value.faults[0]).startswith(fault)
    assert fault in caught.value.message, "the first is quoted"
    assert caught.value.hint


def test_the_retry_prompt_lists_the_faults():
    schema = Schema.of(Person)
    with pytest.raises(SchemaMismatchError) as caught:
        schema.validate({})
    assert "- name: is missing\n- born: is missing" in schema.retry_prompt(caught.value)
    with pytest.raises(SchemaMismatchError) as caught:
        schema.find("no value here")
    assert "There is no JSON in the answer." in schema.retry_prompt(caught.value)


def test_checks_of_the_users_own_are_faults():
    with pytest.raises(SchemaMismatchError, match="ValueError: it is odd"):
        Schema.of(list[Even]).validate([{"number": 2}, {"number": 3}])


@pytest.mark.parametrize(
    ("hint", "value", "built"),
    [
        (int, 5.0, 5),
        (list[int], [1, 2.0], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2], (1, 2)),
        (set[str], ["a"], {"a"}),
        (dict[str, Point], {"p": {"x": 1}}, {"p": Point(1)}),
        (Literal[1, "a"], 1, 1),
        (int | str, "x", "x"),
        (int | float, 1.0, 1.0),
        (Odd, "PAIR", Odd.PAIR),
        (decimal.Decimal, 1.1, decimal.Decimal("1.1")),
        (Any, [None], [None]),
        (Place, {"city": "x"}, {"city": "x"}),
    ],
)
def test_types_and_what_they_build(hint, value, built):
    made = Schema.of(hint, "x").validate(value)
    assert made == built
    assert type(made) is type(built)


@pytest.mark.parametrize(
    "hint", [Nothing, dict[Nothing, str], Literal[b"x"], print, Callable[[int], int]]
)
def test_types_without_a_schema(hint):
    with pytest.raises(UsageError):
        Schema.of(hint)


@pytest.mark.parametrize("value", [5, None, "x", {}, {"a": 1}, [1], {"type": {1, 2}}])
def test_values_that_are_no_schema(value):
    with pytest.raises(UsageError):
        Schema.of(value, "x")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        'It is {"a": 1}.',
        'Not {"b": 2}, but {"a": 1}',
        '```\n{"a": 1}\n```',
        '```python\n{"b": 2}\n```\n~~~json\n{"a": 1}\n~~~',
        '{"broken": \n\n```json\n{"a": 1}',
        '[{"a": 1}] and {"a": 1}',
        "{" * 150 + '{"a": 1}',
        '{"a": NaN} {"a": 1}',
    ],
)
def test_json_is_found_in_prose(text):
    schema = Schema.of({"type": "object", "required": ["a"], "properties": {"a": {"const": 1}}})
    assert schema.parse(text) == {"a": 1}


@unhurried
@given(st.text(), st.text())
def test_any_text_has_json_or_an_error(before, after):
    value = {"a": [1, {"b": before}]}
    schema = Schema.of({"type": "object", "required": ["a"]})
    assert schema.find(f"{json.dumps(value)}") == value
    try:
        schema.find(before + after)
    except SchemaMismatchError:
        pass
    assert schema.find(f"x\n\n```json\n{json.dumps(value)}\n```\n") == value


def test_the_field_for_endpoints_that_honour_it():
    loose, strict = Schema.of(Person).text_format(), Schema.of(Even).text_format()
    assert loose["strict"] is False
    assert strict == {
        "type": "json_schema",
        "name": "Even",
        "schema": {
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
            "additionalProperties": False,
        },
        "strict": True,
    }
    assert Schema.of(list[Even]).text_format() is None


def test_a_schema_with_values_of_any_type_is_not_strict():
    free = {"type": "object", "additionalProperties": False, "required": ["a"]}
    for value in ({}, {"type": "array"}, {"type": "array", "items": {}}):
        made = Schema.of({**free, "properties": {"a": value}}, "x").text_format()
        assert made["strict"] is False


def test_pydantic_models_build_and_explain():
    pydantic = pytest.importorskip("pydantic")

    class Leaf(pydantic.BaseModel):
        size: int = pydantic.Field(gt=0, description="in cm")
        day: datetime.date | None = None
        next: Leaf | None = None

        @pydantic.field_validator("size")
        @classmethod
        def even(cls, size: int) -> int:
            if size % 2:
                raise ValueError("odd")
            return size

    Leaf.model_rebuild(_types_namespace={"Leaf": Leaf, "datetime": datetime})
    schema = Schema.of(Leaf)
    made = schema.parse('{"size": 2, "day": "2024-01-01", "next": {"size": 4}}')
    assert made == Leaf(size=2, day=datetime.date(2024, 1, 1), next=Leaf(size=4))
    with pytest.raises(SchemaMismatchError, match="size: expected more than 0, got -2"):
        schema.parse('{"size": -2}')
    with pytest.raises(SchemaMismatchError, match=r"\[1\]\.next\.size: Value error, odd"):
        Schema.of(list[Leaf]).validate([{"size": 2}, {"size": 2, "next": {"size": 3}}])


def test_backticks_of_a_schema_cannot_close_its_fence():
    schema = Schema.of({"type": "string", "description": "\n```\nmore"})
    assert schema.prompt().count("```") == 3
    assert list(candidates(schema.prompt())) == [schema.json]


def test_the_schema_of_a_record_that_holds_itself():
    written = schema_of(Person)
    assert written["$ref"] == "#/$defs/Person"
    assert Schema.of(Person).json["$ref"] == "#/$defs/Person"
    assert "$ref" not in Schema.of(Even).json


def test_any_type_that_pydantic_takes():
    pydantic = pytest.importorskip("pydantic")

    class Item(pydantic.BaseModel):
        full_name: str = pydantic.Field(alias="fullName")
        count: int = pydantic.Field(ge=1, validation_alias=pydantic.AliasChoices("n", "number"))
        inside: list[Item] = pydantic.Field(default=[])

    Item.model_rebuild(_types_namespace={"Item": Item})
    item = Item(fullName="a", n=1)
    for text in (
        '{"fullName": "a", "n": 1}',
        '{"full_name": "a", "count": 1}',
        '{"full_name": "a", "number": 1}',
    ):
        assert Schema.of(Item).parse(text) == item
        assert Schema.of(list[Item]).parse(f"[{text}]") == [item]
        assert Schema.of(dict[str, Item]).parse(f'{{"x": {text}}}') == {"x": item}
        assert Schema.of(Item | int).parse(text) == item
        assert Schema.of(tuple[Item, int]).parse(f"[{text}, 2]") == (item, 2)
        nested = f'{{"fullName": "b", "n": 2, "inside": [{text}]}}'
        assert Schema.of(Item).parse(nested).inside == [item]
    with pytest.raises(SchemaMismatchError, match=r"n: expected at least 1, got 0"):
        Schema.of(Item).parse('{"full_name": "a", "count": 0}')
    assert Schema.of(dict[int, datetime.timedelta]).parse('{"1": "PT2S"}') == {
        1: datetime.timedelta(seconds=2)
    }


def test_definitions_of_one_name_are_kept_apart():
    pydantic = pytest.importorskip("pydantic")

    def holding(name):
        inner = pydantic.create_model("Inner", **{name: (int, ...)})
        return pydantic.create_model(f"Of{name}", inner=(inner, ...))

    one, other = holding("a"), holding("b")
    schema = Schema.of(one | other, "either")
    assert type(schema.parse('{"inner": {"a": 1}}')) is one
    assert type(schema.parse('{"inner": {"b": 1}}')) is other


VALUE = '{"a": 5, "b": "x"}'


@pytest.mark.parametrize(
    "text",
    [
        "The schema:\n\n```json\nECHO\n```\n\nThe value:\n\n```json\nVALUE\n```",
        "```json\nVALUE\n```\n\nIt fits the schema:\n\n```json\nTOLD\n```",
        "VALUE\nECHO",
        'For the input `{"x": 1}` it is VALUE',
        'It is VALUE for the input `{"x": 1}`',
        '```json\nVALUE\n```\nHere `{"a": 5}` counts them, {} would be nothing.',
        'Draft: {"a": 1, "b": "d"}\nFinal: VALUE',
        '```json\n{"a": 1, "b": "d"}\n```\nNo, better:\n```json\nVALUE\n```',
        '> ```json\n> {"a": 5,\n> "b": "x"}\n> ```',
        "- so:\n\n  ```json\n  VALUE\n  ```\n\nsee [1, 2]",
        '```json\nVALUE\n```\n\n```python\nd = {"a": 9, "b": "p"}\n```',
        "```python\nd = VALUE\n```",
        "$\\{x\\}$ " * 300 + "VALUE",
        '{"a": 5, "b": "x", "because": "it is extra"}',
        '{"O": VALUE}',
        'So:\n\n```json\n{"answer": VALUE}\n```',
    ],
)
def test_the_value_nearest_the_end_that_is_no_echo(text):
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("O", a=(int, 0), b=(str, ""))
    schema = Schema.of(model)
    told = json.dumps(schema.json, indent=2)
    text = text.replace("ECHO", json.dumps(model.model_json_schema())).replace("TOLD", told)
    assert schema.parse(text.replace("VALUE", VALUE)) == model(a=5, b="x")
    assert Schema.of(model | int, "o").parse(text.replace("VALUE", VALUE)) == model(a=5, b="x")


def test_an_echo_alone_is_no_answer():
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("O", a=(int, 0))
    with pytest.raises(SchemaMismatchError, match="no JSON in the answer"):
        Schema.of(model).parse(json.dumps(model.model_json_schema()))


def test_a_schema_may_be_what_is_asked_for():
    asked = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert Schema.of({"type": "object"}).parse(json.dumps(asked)) == asked


@pytest.mark.parametrize("schema", [{"minimum": 3}, {"$id": "urn:x"}, {"uniqueItems": True}])
def test_any_word_of_a_schema_makes_one(schema):
    assert Schema.of(schema, "x").json == schema


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Person", Person),
        ("list[Person]", list[Person]),
        ("dict[str, list[Person]]", dict[str, list[Person]]),
        ("Person | None", Person | None),
        ('Literal["a", 1]', Literal["a", 1]),
        ("int", int),
        ("box.Person", Person),
        ("tuple[int, ...]", tuple[int, ...]),
        ("form", {"type": "object"}),
    ],
)
def test_a_type_by_its_text(text, named):
    box = type("Box", (), {"Person": Person})
    assert named_type(text, {"Person": Person, "box": box, "form": {"type": "object"}}) == named


@pytest.mark.parametrize(
    "text", ["Nowhere", "list[", "print('x')", "exit()", "a.b", "[1]", "1 + 1"]
)
def test_a_text_that_names_no_type(text):
    with pytest.raises(UsageError, match="to be a schema"):
        named_type(text, {"a": 1, "print": print})
