"""What the browser has, kept beside it."""

from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.patches import Add, Remove, Replace
from qwen_magic.document.tree import Tree
from qwen_magic.document.wire import Fold, Unfold


def test_an_element_is_made_once_and_replaced_when_it_differs():
    tree = Tree()
    assert tree.put("a", "turn", "<p>1</p>") == [Add("a", "turn", "<p>1</p>")]
    assert tree.put("a", "turn", "<p>1</p>") == []
    assert tree.put("a", "turn", "<p>2</p>") == [Replace("a", "<p>2</p>")]
    assert tree.snapshot() == [Add("a", "turn", "<p>2</p>")]


def test_a_list_changes_only_where_it_differs():
    tree = Tree()
    tree.put("a", "turn", "<ul></ul>")
    tree.put_list("a", ["1", "2", "3"])
    assert tree.put_list("a", ["1", "x"]) == [Replace("a.1", "x"), Remove("a.2")]


def test_what_hangs_from_an_element_goes_with_it():
    tree = Tree()
    tree.put("a", "turn", "<div></div>")
    tree.put("b", "a", "<div></div>")
    tree.put("c", "b", "<div></div>")
    assert tree.drop("a") == [Remove("a")]
    assert tree.snapshot() == []
    assert tree.drop("a") == []


def test_panels_fold_and_unfold_once():
    tree = Tree()
    tree.put("a", "turn", '<details class="x"></details>')
    assert tree.unfold("a") == [Unfold("a")]
    assert tree.unfold("a") == []
    assert tree.snapshot() == [Add("a", "turn", '<details class="x" open></details>')]
    assert tree.fold("a") == [Fold("a")]
    assert tree.fold("a") == []
    assert tree.snapshot() == [Add("a", "turn", '<details class="x"></details>')]


def test_a_text_is_part_of_the_snapshot():
    tree = Tree()
    tree.put("a", "turn", "<div></div>")
    text = MarkdownStream("a", "a.")
    tree.mount("a", text)
    text.append("One.\n\nTwo.\n\n")
    text.update()
    ids = [patch.id for patch in tree.snapshot()]
    assert ids[0] == "a"
    assert ids[1:] == [block.id for block in text.blocks]
    assert tree.unmount("a") == [Remove(block.id) for block in text.blocks]
    assert [patch.id for patch in tree.snapshot()] == ["a"]
