"""`-f`: files, each told as what it is, within bounds."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from qwen_magic.context import documents, files
from qwen_magic.context.files import decode, find_file, read_file
from qwen_magic.context.request_input import attach, check_size
from qwen_magic.errors import UsageError
from qwen_magic.masking import SECRET_NAMES

DATA = Path(__file__).parents[2] / "notebooks" / "data"
CHINESE = "行星的数据：质量、直径和密度。\n第二行也是中文。\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(ref, *words, **options):
    with pytest.raises(UsageError) as raised:
        read_file(ref, **options)
    for each in words:
        assert each in str(raised.value), raised.value
    return str(raised.value)


# Text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("latin-1", "cp1252"),
    ],
)
def test_encodings_of_latin_text(codec, name):
    text = "Größe, naïve café: déjà vu.\n" * 3
    assert decode(text.encode(codec)) == (text, name)


@pytest.mark.parametrize(
    ("codec", "name"),
    [("gbk", "GB18030"), ("gb18030", "GB18030"), ("utf-8", "UTF-8"), ("utf-16", "UTF-16")],
)
def test_encodings_of_chinese_text(codec, name):
    assert decode(CHINESE.encode(codec)) == (CHINESE, name)


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        ("shift_jis", "惑星のデータ"),
        ("cp1251", "Данные о планетах"),
        ("big5", "行星資料，質量與直徑"),
    ],
)
def test_an_encoding_that_is_not_known_is_no_guess(codec, words):
    with pytest.raises(ValueError, match="UTF-8"):
        decode((words * 20).encode(codec))


def test_text_goes_whole_and_what_was_read_is_said(folder):
    text = "one\n```\ntwo " * 2_000
    (folder / "notes.md").write_text(text)
    part = read_file("notes.md")
    assert text.rstrip() in part.text
    assert "````md" in part.text, "a fence that the text cannot close"
    assert "`notes.md`" in part.text
    assert part.summaries[0].startswith("notes.md: text, 4,001 lines; ")
    (folder / "国.txt").write_bytes(CHINESE.encode("gbk"))
    part = read_file("国.txt")
    assert CHINESE.rstrip() in part.text
    assert "2 lines, read as GB18030;" in part.summaries[0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.bin", bytes(range(256)), "binary"),
        ("a.txt", b"text\0more", "binary"),
        ("a.gz", b"\x1f\x8b" + bytes(50), "Unpack it"),
        ("a.db", b"SQLite format 3\0" + bytes(50), "SQLite"),
        ("a.doc", b"\xd0\xcf\x11\xe0" + bytes(50), "password"),
        ("a.pdf", b"no pdf at all", "is no PDF"),
        ("a.docx", b"no docx at all", "is no DOCX"),
        ("a.txt", b"", "is empty"),
        ("a.png", b"no image", "no image that can be read"),
        ("a.csv", b"\n\n", "cannot be read as CSV"),
        ("a.csv", b'a,b\n"1,2\n', "cannot be read as CSV"),
        ("a.xlsx", b"PK\x03\x04 broken", "is broken"),
        ("a.parquet", b"PAR1 broken PAR1", "cannot be read as Parquet"),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(folder, name, content, words):
    (folder / name).write_bytes(content)
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    refused(name, words, name)


def test_large_files_are_refused_before_they_are_read(folder, monkeypatch):
    (folder / "a.txt").write_text("x" * 200)
    monkeypatch.setattr(files, "MAX_TEXT_BYTES", 100)
    refused("a.txt", "too large", "-d")
    with (folder / "b.csv").open("wb") as opened:
        opened.truncate(files.MAX_BYTES + 1)
    refused("b.csv", "too large")


def test_a_file_of_secrets_is_told_without_them_unless_they_are_allowed(folder):
    (folder / ".env").write_text("PLACE=here\nDB_PASSWORD=hunter2hunter2\n")
    part = read_file(".env", mask=SECRET_NAMES)
    assert "hunter2" not in part.text
    assert "PLACE=here" in part.text
    assert "1 value that may be secret kept back" in part.summaries[0]
    assert "hunter2" in read_file(".env").text


def test_reading_ends_after_its_time(folder, monkeypatch):
    def slow(content):
        while True:
            pass

    (folder / "a.txt").write_text("x")
    monkeypatch.setattr(files, "SECONDS", 0.05)
    monkeypatch.setattr(files, "decode", slow)
    refused("a.txt", "takes too long")


# Which file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["two words.txt", "it's.txt", 'say "x".txt', "行星.txt", "a,b.txt", "[1].txt", "a*b.txt"],
)
def test_names_of_any_kind(folder, name):
    (folder / name).write_text("inside")
    assert "inside" in read_file(name).text
    assert find_file("there", folder / name) == folder / name
    assert find_file("there", str(folder / name)) == folder / name


def test_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "a.txt").write_text("inside")
    assert find_file("~/a.txt") == folder / "a.txt"
    assert find_file(folder.as_uri() + "/a.txt") == folder / "a.txt"


def test_a_wrong_name_is_told_what_there_is(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "Planets.csv").write_text("a\n1\n")
    refused("sub/planets.csv", "no file", "Planets.csv")
    refused("sub", "a folder", "Planets.csv")
    refused("sub/*.csv", "a pattern", "Planets.csv")
    refused("nowhere/planets.csv", "no folder")
    refused("x" * 5_000, "no file")
    refused("a\0b", "no file")
    refused("~nobody_of_that_name/x", "no f")
    refused("/dev/zero", "no regular file")
    refused("table", "type DataFrame", "-d", value=pd.DataFrame())


def test_a_name_closes_no_code_span(folder):
    (folder / "a`\nDo this`.txt").write_text("inside")
    assert "`a??Do this?.txt`" in read_file("a`\nDo this`.txt").text


# Tables -------------------------------------------------------------------------------------------


def test_a_table_is_told_as_data_is_with_the_code_that_reads_it():
    part = read_file(str(DATA / "planets.csv"))
    assert part.is_table
    assert "pandas.read_csv(" in part.text
    assert "'density'" in part.text
    assert ": CSV, 9 rows, " in part.summaries[0]
    assert "schema sent" in part.summaries[0]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("a;b\n1,5;x\n2,5;y\n", "sep=';', decimal=','"),
        ("a\tb\n1.5\tx\n2.5\ty\n", r"sep='\t'"),
        ("a|b\n1.5|x\n2.5|y\n", "sep='|'"),
        ('"a;b;c",b\n1.5,x\n2.5,y\n', "read_csv('t.csv')"),
    ],
)
def test_separators(folder, content, code):
    (folder / "t.csv").write_text(content)
    part = read_file("t.csv", rows="all")
    assert code in read_file("t.csv").text
    assert "2 rows, 2 columns" in part.summaries[0]
    assert "float64" in part.text


def test_rows_and_masks_of_a_file(folder):
    (folder / "t.csv").write_bytes("名,email\n甲,a@x.test\n".encode("gbk"))
    part = read_file("t.csv", rows=1, mask=["email"])
    assert "a@x.test" not in part.text
    assert "甲" in part.text
    assert "1 row sent" in part.summaries[0]
    assert "encoding='gb18030'" in read_file("t.csv").text


def test_parquet(folder):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"n": [1, None]}, dtype="Int64", index=pd.Index(["a", "b"], name="key"))
    frame.to_parquet("t.parquet")
    part = read_file("t.parquet", rows="all")
    assert "2 rows, 1 column" in part.summaries[0]
    assert "Int64" in part.text
    assert "pandas.read_parquet('t.parquet')" in read_file("t.parquet").text


def test_a_packed_parquet_file_is_refused_by_what_it_says_of_itself(folder, monkeypatch):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"n": [0] * 1_000}).to_parquet("t.parquet")
    monkeypatch.setattr(documents, "MAX_VALUES", 999)
    refused("t.parquet", "1,000 rows")


def test_workbooks_are_told_by_sheet_as_pandas_reads_them(folder):
    openpyxl = pytest.importorskip("openpyxl")
    one = pd.DataFrame(
        {
            "n": [1, 2], "x": [1.5, None], "day": pd.to_datetime(["2026-01-01", None]),
            "word": ["a", "b"], "yes": [True, False],
        }
    )  # fmt: skip
    with pd.ExcelWriter("t.xlsx") as writer:
        one.to_excel(writer, sheet_name="First", index=False)
    book = openpyxl.load_workbook("t.xlsx")
    book["First"]["A6"] = 7  # below empty rows
    book.save("t.xlsx")
    (table,) = documents.read_workbook("t.xlsx", Path("t.xlsx"))
    pd.testing.assert_frame_equal(table.frame, pd.read_excel("t.xlsx"))
    assert table.reads == "pandas.read_excel('t.xlsx')"
    book = openpyxl.load_workbook("t.xlsx")
    book.create_sheet("第二").append(["a"])
    book["第二"].append([1])
    book.create_sheet("Empty")
    book.create_sheet("Hidden").append(["secret"])
    book["Hidden"].sheet_state = "hidden"
    book.save("t.xlsx")
    part = read_file("t.xlsx")
    assert [words.partition(":")[0] for words in part.summaries] == [
        "t.xlsx [First]",
        "t.xlsx [第二]",
    ]
    assert "sheet_name='第二'" in part.text
    assert "secret" not in part.text


def test_a_sheet_with_a_cell_in_the_last_corner_ends(folder):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"] = book.active["XFD1048576"] = 1
    book.save("t.xlsx")
    refused("t.xlsx", "more than 5,000,000 cells")


@pytest.mark.parametrize("inside", ["word/document.xml", "xl/workbook.xml"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(folder, inside):
    name = "a.docx" if inside.startswith("word") else "a.xlsx"
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside, "x")
        with archive.open("large.xml", "w") as large:
            for _ in range(files.MAX_UNPACKED // 10_000_000 + 1):
                large.write(bytes(10_000_000))
    assert Path(name).stat().st_size < 1_000_000
    refused(name, "too large", "when unpacked")


def test_other_archives(folder):
    for inside, words in [("a.txt", "ZIP"), ("ppt/presentation.xml", "PDF")]:
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.writestr(inside, "x")
        refused("a.zip", words)


# Documents ----------------------------------------------------------------------------------------


def pdf(*pages):
    """A PDF with these words on its pages."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, words in enumerate(pages):
        drawn = b"BT /F 20 Tf 20 100 Td (%s) Tj ET" % words.encode()
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Resources<</Font<</F 3 0 R>>>>"
            b"/Contents %d 0 R>>" % (5 + 2 * number),
            b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
        ]
    written, places = io.BytesIO(b"%PDF-1.4\n"), []
    written.seek(0, 2)
    for number, each in enumerate(objects, 1):
        places.append(written.tell())
        written.write(b"%d 0 obj%s endobj\n" % (number, each))
    start = written.tell()
    written.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    written.writelines(b"%010d 00000 n \n" % place for place in places)
    written.write(
        b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    )
    return written.getvalue()


def test_pages_as_images_or_as_text(folder):
    pytest.importorskip("pypdfium2")
    (folder / "a.pdf").write_bytes(pdf("Hello there", "Second page"))
    for sees in (False, None):
        part = read_file("a.pdf", sees=sees)
        assert "[page 1]\nHello there" in part.text
        assert "[page 2]\nSecond page" in part.text
        assert not part.content
        assert "PDF, 2 pages as text" in part.summaries[0]
    part = read_file("a.pdf", sees=True)
    assert [each["type"] for each in part.content] == ["input_text", "input_image"] * 2
    assert "Page 2 of the file `a.pdf`" in part.content[2]["text"]
    assert [each.tokens for each in part.parts] == [800 * 400 // 1024] * 2
    assert "PDF, 2 pages as images" in part.summaries[0]
    assert part.needs_vision


def test_of_many_pages_the_first_are_shown(folder, monkeypatch):
    pytest.importorskip("pypdfium2")
    monkeypatch.setattr(documents, "SHOWN_PAGES", 1)
    (folder / "a.pdf").write_bytes(pdf("one", "two", "three"))
    part = read_file("a.pdf", sees=True)
    assert len(part.content) == 2
    assert "[page 2]\ntwo" in part.text
    assert [each.kind for each in part.parts] == ["page", "file"]
    monkeypatch.setattr(documents, "MAX_PAGES", 2)
    refused("a.pdf", "3 pages")


def test_a_scanned_page_is_a_picture_for_any_model(folder):
    pytest.importorskip("pypdfium2")
    (folder / "a.pdf").write_bytes(pdf(""))
    assert read_file("a.pdf").needs_vision
    with pytest.raises(UsageError, match="sees no images"):
        attach("?", {}, model="qwen3-max", files=["a.pdf"])


def test_pdfs_that_are_broken_or_have_a_password(folder):
    pytest.importorskip("pypdfium2")
    (folder / "a.pdf").write_bytes(b"%PDF-1.4\n" + bytes(500))
    refused("a.pdf", "cannot be read as PDF")
    lock = b"/ID[<00><00>]/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>"
    made = pdf("x").replace(b"trailer<<", b"trailer<<" + lock % (b"00" * 32, b"11" * 32))
    (folder / "b.pdf").write_bytes(made)
    refused("b.pdf", "has a password")


def test_docx_as_markdown(folder):
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("Title of it", 1)
    document.add_paragraph("Words of mine.")
    document.add_paragraph("an item", style="List Bullet")
    table = document.add_table(2, 2)
    for row, words in zip(table.rows, [("a", "b"), ("1|2", "3")], strict=True):
        for cell, word in zip(row.cells, words, strict=True):
            cell.text = word
    merged = document.add_table(1, 3)
    merged.cell(0, 0).merge(merged.cell(0, 1)).text = "wide"
    document.save("a.docx")
    part = read_file("a.docx")
    assert (
        "# Title of it\n\nWords of mine.\n\n- an item\n\n| a | b |\n|---|---|\n| 1\\|2 | 3 |"
        in part.text
    )
    assert "\n\n| wide |  |  |\n" in part.text
    assert "DOCX, 5 paragraphs" in part.summaries[0]


@pytest.mark.parametrize(
    ("name", "library"),
    [("a.pdf", "pypdfium2"), ("a.docx", "docx"), ("a.xlsx", "openpyxl"), ("a.csv", "pandas")],
)
def test_without_its_library_the_extra_is_named(folder, monkeypatch, name, library):
    inside = {"a.docx": "word/document.xml", "a.xlsx": "xl/workbook.xml"}.get(name)
    if inside:
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr(inside, "x")
    else:
        (folder / name).write_bytes(pdf("x") if name == "a.pdf" else b"a\n1\n")
    monkeypatch.setitem(__import__("sys").modules, library, None)
    refused(name, library, 'pip install "qwen-magic[files]"')


def test_pictures_and_addresses(folder):
    image = pytest.importorskip("PIL.Image")
    image.new("L", (4, 3)).save("a.png")
    part = read_file("a.png")
    assert part.content[1]["image_url"].startswith("data:image/png")
    assert part.needs_vision
    assert read_file("https://x.test/a.png?w=1").content[0]["type"] == "input_image"
    address = {"type": "input_file", "file_url": "https://x.test/a.pdf"}
    assert read_file("https://x.test/a.pdf").content == (address,)
    assert read_file("url", "https://x.test/a.pdf").content == (address,)


# In a prompt --------------------------------------------------------------------------------------


def test_files_stand_below_the_prompt_and_images_after_it(folder):
    pytest.importorskip("pypdfium2")
    (folder / "a.pdf").write_bytes(pdf("Hello"))
    (folder / "b.txt").write_text("inside")
    made = attach("Compare", {}, model="qwen3.7-plus", files=["a.pdf", "b.txt", "b.txt"])
    (message,) = made.input
    assert [part["type"] for part in message["content"]] == [
        "input_text", "input_text", "input_image",
    ]  # fmt: skip
    assert message["content"][0]["text"].startswith("Compare\n\nThe file `b.txt`")
    assert [part.kind for part in made.parts] == ["page", "file"]
    text = attach("Compare", {}, model="qwen3-max", files=["a.pdf", "b.txt"]).input
    assert isinstance(text, str)
    plain = attach("?", {}, model="qwen3.7-plus", files=["a.pdf"], takes_images=False).input
    assert isinstance(plain, str)


def test_pages_count_for_the_limit_of_tokens(folder):
    pytest.importorskip("pypdfium2")
    (folder / "a.pdf").write_bytes(pdf(*["words"] * 5))
    made = attach("?", {}, model="qwen3.7-plus", files=["a.pdf"])
    check_size(made.input, "", made.summaries, made.parts, most=5_000)
    with pytest.raises(UsageError, match="more than 1,000"):
        check_size(made.input, "", made.summaries, made.parts, most=1_000)


def test_rows_need_a_table(folder):
    (folder / "b.txt").write_text("inside")
    (folder / "t.csv").write_text("a\n1\n")
    with pytest.raises(UsageError, match="of what table"):
        attach("?", {}, model="m", files=["b.txt"], rows=1)
    assert "1 row sent" in attach("?", {}, model="m", files=["t.csv"], rows=1).summaries[0]


def test_the_address_of_a_file_goes_only_where_it_is_taken():
    def sent(model, file_models):
        made = attach("?", {}, model=model, files=["https://x.test/a.pdf"], file_models=file_models)
        return made.input[0]["content"][1]

    address = {"type": "input_file", "file_url": "https://x.test/a.pdf"}
    assert sent("gpt-5", ["*"]) == sent("qwen3.5-ocr-2026-01-01", ["qwen3.5-ocr*"]) == address
    with pytest.raises(UsageError, match="takes no addresses") as raised:
        sent("qwen3-max", ["qwen3.5-ocr*"])
    assert "qwen3.5-ocr" in raised.value.hint
    with pytest.raises(UsageError, match="takes no addresses"):
        sent("m", [])
