/* Prompts read as the prose they are: the body of a `%%qwen` cell, and what follows `%qwen`.

   A prompt cell gets a language of its own in Python's place: the front end's Markdown, grown by
   the options of the first line and by `{name}`. It is chosen by a `StateField`, which looks at the
   cell's first line of code. In a Python cell, marks lie over the `%qwen` lines in sight. */

const CELL = /^%%qwen(?=\s|$)/;
const LINE = /^([ \t]*(?:[A-Za-z_][\w.]*[ \t]*=[ \t]*)?)(%qwen(?:_fix|_edit)?)(?![\w%])/;
// What may stand above `%%qwen`: comments, and the magics that run a cell inside.
const ABOVE = /^\s*(?:#.*)?$|^%%(?:time|timeit|capture|prun)(?=\s|$)/;

// Written by tests/frontends/test_labextension.py from qwen_magic/options.py.
const words = (text) => new Set(text.trim().split(/\s+/));
const FLAGS = words(`
  --think --no-think --hint --new --edit --no-history --carry --send-all --allow-secrets --code
  --steps --cache --fresh --bg --dry-run --raw --quiet -h --help`);
const VALUED = words(`
  -m --model -t --tools -e --effort -s --system -c --chat --after -d --data --rows -n --notebook
  -i --image -f --file --schema --compare --judge -o --out --temperature --top-p
  --max-output-tokens --timeout`);

// As magics/line.py reads them.
const SPACE = /\s*/y;
const SPELLING = /--[^\s=]*|-[A-Za-z]/y;
const VALUE = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|“(?:[^”\\]|\\.)*”|\S+/y;
const NO_VALUE = /--?[A-Za-z]|--(?=\s|$)/y;

/* As context/interpolation.py reads them: what is expanded, and what stays to the letter around it,
   maths (the very next dollar closes, or nothing does) and the arguments of a TeX command. */
const STEP = String.raw`\.[\p{L}_][\p{L}\p{N}_]*|\[-?\d+\]|\["[^"\\\n]*"\]|\['[^'\\\n]*'\]`;
const REFERENCE = new RegExp(String.raw`(\{+)[\p{L}_][\p{L}\p{N}_]*(?:${STEP})*(\}+)`, "uy");
const MATHS =
  /\$\$[^]*?\$\$|\\\([^]*?\\\)|\\\[[^]*?\\\]|(?<![A-Za-z0-9])\$(?=[^\s$])[^$\n]*(?<![\s\\])\$(?![A-Za-z0-9{])/y;
const TEX = /\\[A-Za-z]{2,}\*?(?:\[[^\]\n]*\])?(?:\{(?:[^{}\n]|\{[^{}\n]*\})*\})+/y;

/* What a sticky pattern finds in `text` at `at`. */
function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/* `work`, whose faults are told and cost only what it would have marked. */
function guarded(work, otherwise) {
  return (...given) => {
    try {
      return work(...given);
    } catch (error) {
      console.error("qwen_magic:", error);
      return otherwise;
    }
  };
}

/* Is a cell of these lines a prompt? */
function isPrompt(lines) {
  for (const line of lines) if (!ABOVE.test(line)) return CELL.test(line);
  return false;
}

/* Tell the options in `text` from `at` on: put(kind, from, to). Where the prompt begins. An option
   that does not exist ends them, and stays plain. */
function readOptions(text, at, put) {
  const skip = (from) => from + match(SPACE, text, from)[0].length;
  for (;;) {
    at = skip(at);
    const name = match(SPELLING, text, at)?.[0];
    const end = at + name?.length;
    if (!FLAGS.has(name) && !VALUED.has(name) && name !== "--") return at;
    put("option", at, end);
    at = end;
    if (name === "--") return at;
    if (FLAGS.has(name)) continue;
    const isAttached = /\S/.test(text[at] ?? " ");
    at = isAttached ? at + (text[at] === "=") : skip(at);
    if (!isAttached && match(NO_VALUE, text, at)) continue;
    const value = match(VALUE, text, at)?.[0] ?? "";
    if (value) put("value", at, at + value.length);
    at += value.length;
  }
}

/* The reference that the braces at `at` are around: [from, to], or an empty one where they are
   doubled; undefined where there is none. */
function referenceAt(text, at) {
  const found = match(REFERENCE, text, at);
  if (!found) return undefined;
  const [whole, open, close] = found;
  const pairs = Math.min(open.length, close.length);
  const end = at + whole.length;
  return pairs % 2 ? [at + open.length - 1, end - close.length + 1] : [end, end];
}

/* The front end's Markdown, as a prompt is written in it; `props` are added to its nodes. */
function promptParser(markdown, tags, props) {
  const style = {
    QwenComment: tags.comment,
    QwenMagic: tags.keyword,
    QwenOption: tags.attributeName,
    QwenValue: tags.string,
    QwenName: tags.name,
    QwenMaths: tags.emphasis,
  };
  const nodes = { magic: "QwenMagic", option: "QwenOption", value: "QwenValue" };

  /* The document's first block: what stands above, and the line of `%%qwen`. */
  function head(cx, line) {
    if (cx.depth > 1 || cx.block.children.length > 0) return false;
    const from = cx.lineStart;
    const parts = [];
    const put = (node, start, end) => parts.push(cx.elt(node, cx.lineStart + start, cx.lineStart + end));
    while (!CELL.test(line.text)) {
      if (/^\s*#/.test(line.text)) put("QwenComment", 0, line.text.length);
      if (!ABOVE.test(line.text) || !cx.nextLine()) return true;
    }
    put("QwenMagic", 0, "%%qwen".length);
    const end = readOptions(line.text, "%%qwen".length, (kind, ...place) => put(nodes[kind], ...place));
    parts.push(...cx.parser.parseInline(line.text.slice(end), cx.lineStart + end));
    cx.addElement(cx.elt("QwenHead", from, cx.lineStart + line.text.length, parts));
    cx.nextLine();
    return true;
  }

  function inline(cx, next, at) {
    const offset = cx.offset;
    if (next === 123 /* { */) {
      const found = referenceAt(cx.text, at - offset);
      if (!found) return -1;
      const [from, to] = found;
      return to > from ? cx.addElement(cx.elt("QwenName", from + offset, to + offset)) : to + offset;
    }
    if (next !== 36 /* $ */ && next !== 92 /* \ */) return -1;
    const maths = match(MATHS, cx.text, at - offset)?.[0];
    if (maths) return cx.addElement(cx.elt("QwenMaths", at, at + maths.length));
    const tex = match(TEX, cx.text, at - offset)?.[0];
    return tex ? at + tex.length : -1;
  }

  return markdown.configure({
    props,
    defineNodes: [
      { name: "QwenHead", block: true },
      ...Object.entries(style).map(([name, tag]) => ({ name, style: tag })),
    ],
    // Indented prose is no code, `<data>{df}</data>` no HTML, and `---` below a line no heading.
    remove: ["IndentedCode", "HTMLBlock", "SetextHeading", "InlineMathDollar", "BlockMathDollar"],
    parseBlock: [{ name: "QwenHead", parse: guarded(head, false), before: "FencedCode" }],
    parseInline: [{ name: "QwenInline", parse: guarded(inline, -1), before: "Escape" }],
  });
}

/* Marks over the `%qwen` lines of a Python cell. */
function lineMarks({ Decoration, ViewPlugin }, { RangeSetBuilder, Prec }, { syntaxTree }, field) {
  const marks = Object.fromEntries(
    ["magic", "option", "value", "text", "name"].map((kind) => [
      kind,
      Decoration.mark({ class: `qm-ed-${kind}` }),
    ]),
  );

  function markLine(text, put) {
    const [, before, magic] = LINE.exec(text);
    const start = before.length + magic.length;
    put("magic", before.length, start);
    let at = readOptions(text, start, put);
    for (let next = text.indexOf("{", at); next >= 0; next = text.indexOf("{", next)) {
      const [from, to] = referenceAt(text, next) ?? [next + 1, next + 1];
      next = to;
      if (from === to) continue;
      if (from > at) put("text", at, from);
      put("name", from, to);
      at = to;
    }
    if (at < text.length) put("text", at, text.length);
  }

  function marksOf({ state, visibleRanges }) {
    const made = new RangeSetBuilder();
    if (state.field(field)) return made.finish();
    for (const { from, to } of visibleRanges) {
      for (let at = from; at <= to; ) {
        const line = state.doc.lineAt(at);
        at = line.to + 1;
        if (!line.text.includes("%qwen") || !LINE.test(line.text)) continue;
        const start = line.from + line.text.indexOf("%");
        if (/String/.test(syntaxTree(state).resolveInner(start, 1).name)) continue;
        const put = (kind, a, b) => made.add(line.from + a, line.from + b, marks[kind]);
        markLine(line.text, put);
      }
    }
    return made.finish();
  }

  const plugin = ViewPlugin.define(
    (view) => ({
      marks: marksOf(view),
      update({ docChanged, viewportChanged, startState, view: now }) {
        const isParsed = syntaxTree(startState) !== syntaxTree(now.state);
        if (docChanged || viewportChanged || isParsed) this.marks = marksOf(now);
      },
    }),
    { decorations: (made) => made.marks },
  );
  return Prec.lowest(plugin); // outermost, so that Python's colours cut none of them
}

const CHIP = {
  color: "var(--jp-mirror-editor-variable-2-color)",
  background: "var(--jp-rendermime-table-row-hover-background)",
  borderRadius: "2px",
};

async function extension(take, languages) {
  const [state, view, language, highlight] = await Promise.all(
    ["@codemirror/state", "@codemirror/view", "@codemirror/language", "@lezer/highlight"].map(take),
  );
  const { EditorView } = view;
  const markdown = await languages.getLanguage(languages.findByMIME("text/x-ipythongfm"));
  const name = highlight.Tag.define();
  const data = language.defineLanguageFacet(); // without a comment's sign: Ctrl-/ does nothing
  const parser = promptParser(markdown.support.language.parser, { ...highlight.tags, name }, [
    language.languageDataProp.add({ Document: data }),
  ]);
  const promptLanguage = new language.Language(data, parser, [], "qwen-prompt");
  // Until JupyterLab has loaded Python's: a facet that is computed must not be empty.
  const noLanguage = language.StreamLanguage.define({ token: (stream) => stream.skipToEnd() });
  const field = state.StateField.define({
    create: ({ doc }) => isPrompt(doc.iterLines()),
    update: (was, { docChanged, newDoc }) => (docChanged ? isPrompt(newDoc.iterLines()) : was),
  });
  const look = { class: "cm-lineWrapping qm-ed-prompt", spellcheck: "true" };
  return [
    field,
    state.Prec.highest([
      language.language.computeN([field], (now) => (now.field(field) ? [promptLanguage] : [])),
      EditorView.contentAttributes.compute([field], (now) => (now.field(field) ? look : {})),
    ]),
    state.Prec.lowest(language.language.of(noLanguage)),
    language.syntaxHighlighting(language.HighlightStyle.define([{ tag: name, ...CHIP }])),
    lineMarks(view, state, language, field),
    EditorView.baseTheme({
      ".qm-ed-magic": { color: "var(--jp-mirror-editor-keyword-color)", fontWeight: "bold" },
      ".qm-ed-option": { color: "var(--jp-mirror-editor-attribute-color)" },
      ".qm-ed-value": { color: "var(--jp-mirror-editor-string-color)" },
      ".qm-ed-text": { color: "var(--jp-content-font-color1)" },
      ".qm-ed-name": CHIP,
      ":is(.qm-ed-magic, .qm-ed-option, .qm-ed-value, .qm-ed-text, .qm-ed-name) *": {
        color: "inherit",
        fontStyle: "inherit",
        fontWeight: "inherit",
      },
    }),
  ];
}

/* What fails in an editor leaves it empty: better in one that nobody sees, before any has it. */
async function tryOut(take, extensions) {
  const { EditorView } = await take("@codemirror/view");
  const samples = ["", "x = %qwen -m x words {name}", "# a\n%%qwen -m x words\n**a** {name} $x$"];
  for (const doc of samples) new EditorView({ doc, extensions }).destroy();
}

export default async function promptCells(take) {
  const codemirror = await take("@jupyterlab/codemirror");
  const { IEditorExtensionRegistry, IEditorLanguageRegistry, EditorExtensionRegistry } = codemirror;
  return {
    id: "qwen_magic:prompts",
    description: "Shows the prompts of %%qwen cells as prose.",
    autoStart: true,
    requires: [IEditorExtensionRegistry, IEditorLanguageRegistry],
    async activate(_app, registry, languages) {
      const made = await extension(take, languages);
      await tryOut(take, made);
      registry.addExtension({
        name: "qwenPrompts",
        default: true,
        factory: ({ model }) =>
          model.type === "code" ? EditorExtensionRegistry.createConditionalExtension(made) : null,
        schema: { type: "boolean", title: "Show the prompts of %%qwen cells as prose" },
      });
    },
  };
}
