"""What `[n]` means, and which pages are listed."""

from qwen_magic.document.links import all_sources, by_host, number_sources
from qwen_magic.protocol.items import Annotation, Message, Reasoning, Source, WebSearchCall


def search(id, *urls):
    return WebSearchCall(id, sources=tuple(Source(url) for url in urls))


ITEMS = [
    search("1", "https://a.org/one", "https://b.org/two"),
    Reasoning("r"),
    search("2", "https://a.org/three"),
]


def test_numbers_run_through_all_searches():
    found = number_sources(ITEMS)
    assert [(source.number, source.title) for source in found] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


def test_a_title_that_came_is_kept():
    (source,) = number_sources(
        [WebSearchCall("1", sources=(Source("https://a.org/x", "A title"),))]
    )
    assert source.title == "A title"


def test_cited_sources_are_marked_and_others_kept():
    sources = all_sources(ITEMS, {3, 99})
    assert [source.cited for source in sources] == [False, False, True]


def test_annotations_count_as_citations():
    notes = (
        Annotation("url_citation", "https://b.org/two", "Two"),
        Annotation("url_citation", "https://c.org/new", "New"),
    )
    sources = all_sources([*ITEMS, Message("m", "text", annotations=notes)], set())
    assert [(s.number, s.url, s.cited) for s in sources] == [
        (1, "https://a.org/one", False),
        (2, "https://b.org/two", True),
        (3, "https://a.org/three", False),
        (0, "https://c.org/new", True),
    ]


def test_groups_by_host_keep_their_order():
    groups = by_host(number_sources(ITEMS))
    assert {host: [s.number for s in group] for host, group in groups.items()} == {
        "a.org": [1, 3],
        "b.org": [2],
    }
