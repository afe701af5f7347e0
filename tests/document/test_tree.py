"""What the browser has, kept beside it."""

from qwen_magic.document.blocks import Box, Panel, Spoken
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.patches import Add, Fold, Insert, Move, Remove, Replace, Unfold
from qwen_magic.document.tree import Tree

ONE, TWO, THREE = map(Spoken, "123")
BOX = Box("body")
CLOSED, OPEN = '<details class="qm-step"></details>', '<details class="qm-step" open></details>'


def test_an_element_is_made_once_and_replaced_when_it_differs():
    tree = Tree()
    assert tree.put("a", "turn", ONE) == [Add("a", "turn", "<span>1</span>")]
    assert tree.put("a", "turn", ONE) == []
    assert tree.put("a", "turn", TWO) == [Replace("a", "<span>2</span>")]
    assert tree.snapshot() == [Add("a", "turn", "<span>2</span>")]


def test_a_value_that_looks_the_same_is_kept_without_a_patch():
    tree = Tree()
    tree.put("a", "turn", Box("answer"))
    assert tree.put("a", "turn", Box("answer", "The source.")) == []
    assert tree.root.children[0].value.source == "The source."


def test_a_list_changes_only_where_it_differs():
    tree = Tree()
    tree.put("a", "turn", BOX)
    tree.put_list("a", [ONE, TWO, THREE])
    assert tree.put_list("a", [ONE, ONE]) == [Replace("a.1", "<span>1</span>"), Remove("a.2")]


def test_what_hangs_from_an_element_goes_with_it():
    tree = Tree()
    tree.put("a", "turn", BOX)
    tree.put("b", "a", BOX)
    tree.put("c", "b", BOX)
    assert tree.drop("a") == [Remove("a")]
    assert tree.snapshot() == []
    assert tree.drop("a") == []
    assert "c" not in tree


def test_an_element_is_put_before_another_and_moved_into_it():
    tree = Tree()
    tree.put("a", "turn", ONE)
    tree.put("b", "turn", TWO)
    (patch,) = tree.put_before("p", "b", BOX)
    assert isinstance(patch, Insert)
    assert tree.move("a", "p") == [Move("a", "p")]
    assert [(patch.id, patch.parent) for patch in tree.snapshot()] == [
        ("p", "turn"),
        ("a", "p"),
        ("b", "turn"),
    ]


def test_panels_fold_and_unfold_once():
    tree = Tree()
    tree.put("a", "turn", Panel())
    assert tree.unfold("a") == [Unfold("a")]
    assert tree.unfold("a") == []
    assert tree.snapshot() == [Add("a", "turn", OPEN)]
    assert tree.fold("a") == [Fold("a")]
    assert tree.fold("a") == []
    assert tree.snapshot() == [Add("a", "turn", CLOSED)]


def test_a_text_is_part_of_the_snapshot():
    tree = Tree()
    tree.put("a", "turn", BOX)
    text = MarkdownStream("a", "a.")
    tree.mount("a", text)
    text.append("One.\n\nTwo.\n\n")
    text.update()
    ids = [patch.id for patch in tree.snapshot() if isinstance(patch, Add)]
    assert ids[0] == "a"
    assert ids[1:] == [block.id for block in text.blocks]
    assert tree.unmount("a") == [Remove(block.id) for block in text.blocks]
    assert [patch.id for patch in tree.snapshot()] == ["a"]
