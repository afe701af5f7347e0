/* The notebook of a page, as its kernel asks for it: the front of actions.js, in one script.

   kernel -> page   {op: "notebook", id, session, do, …}   do: a name of NOTEBOOK, with what it takes
   page -> kernel   {op: "notebook", id, mine, reply}      reply: null where the page has no notebook

   `mine`: the cell that asks was run from this page (`session` is this page's own to the kernel).
   What writes is done there alone. Reading gives text, cut to what its reader wants: the largest
   figure stays here. context/notebook.py answers the same for a file, and says what a reply means. */

const DATA = /data:[\w/+.;=-]*;base64,[\w+/=]+/g;
const BESIDE_WORDS = /[\s"'`,;(){}[\]<>]/; // characters that no key has: texts are cut there alone
const SHOWN_AS_OBJECT = /^<[^\n]*>$/; // a text that only names what HTML shows
const MIMES = ["text/markdown", "text/plain", "text/latex", "application/json", "text/html"];
const HEADS = 10; // headings of a cell in the outline
const LINE = 200;
const NAMES = 100; // of `names` in a text

const outputsOf = ({ outputs }) => {
  const made = [];
  for (let at = 0; at < (outputs?.length ?? 0); at += 1) made.push(outputs.get(at));
  return made;
};
const textOf = (value) =>
  typeof value === "string" ? value : Array.isArray(value) ? value.join("") : JSON.stringify(value);

/* The first or last `window` characters of a text, up to where no word is cut in two. */
function headOf(text, window) {
  let at = window;
  while (at > 0 && !BESIDE_WORDS.test(text[at])) at -= 1;
  return text.slice(0, at);
}
function tailOf(text, window) {
  let at = text.length - window;
  while (at < text.length && !BESIDE_WORDS.test(text[at - 1])) at += 1;
  return text.slice(at);
}

/* A text as it is told: whole, or its two ends; how long it is; which of `names` stand in it. */
function piece(value, { window, names }) {
  const text = textOf(value).replace(DATA, "[data]");
  const pattern = names.map(([, each]) => each).join("|");
  const found = pattern ? [...new Set(text.match(new RegExp(pattern, "giu")))] : [];
  const told = { size: text.length, names: found.slice(0, NAMES) };
  if (text.length <= 2 * window) return { ...told, text, tail: "" };
  return { ...told, text: headOf(text, window), tail: tailOf(text, window) };
}

function output(model, how) {
  const made = model.toJSON();
  if (made.output_type === "stream") return { kind: "text", ...piece(made.text, how) };
  if (made.output_type === "error") {
    const lines = made.traceback?.length ? made.traceback : [`${made.ename}: ${made.evalue}`];
    return { kind: "error", ...piece(lines.join("\n"), how) };
  }
  const data = made.data ?? {};
  const isNamed = data["text/html"] && SHOWN_AS_OBJECT.test(textOf(data["text/plain"] ?? "<>"));
  const known = MIMES.filter((mime) => data[mime] !== undefined);
  const mime = isNamed && !data["text/markdown"] ? "text/html" : known[0];
  const told = mime ? piece(data[mime], how) : piece("", how);
  return { kind: mime === "text/html" ? "html" : "text", mimes: Object.keys(data), ...told };
}

function headingOf(cell) {
  const source = cell.sharedModel.getSource();
  if (cell.type === "code") return (source.match(/\S.*/)?.[0] ?? "").slice(0, LINE);
  const found = source.match(/^#{1,6}[ \t].*$/gm) ?? [];
  return found.slice(0, HEADS).map((line) => line.slice(0, LINE)).join("\n");
}

const facts = (cell) => ({
  id: cell.id,
  kind: cell.type,
  number: cell.executionCount ?? null,
  edited: Boolean(cell.executionCount && cell.isDirty),
});

// Steps (magics/steps.py): the mark of a proposed cell, which labextension/static/steps.js shows.
const PROPOSAL = "qwen";
const SKIP_TAG = "skip-execution"; // nbclient then leaves the cell out

const isMarked = (cell, step) => cell.getMetadata(PROPOSAL)?.step === step;
const named = ({ model }, id) => [...model.cells].find((cell) => cell.id === id);

/* `mark` on a cell, none: it is a cell as any other. */
function setMark(cell, mark) {
  const tags = (cell.getMetadata("tags") ?? []).filter((tag) => tag !== SKIP_TAG);
  if (mark?.open) tags.push(SKIP_TAG);
  if (mark) cell.setMetadata(PROPOSAL, { ...mark, cell: cell.id });
  else cell.deleteMetadata(PROPOSAL);
  if (tags.length > 0) cell.setMetadata("tags", tags);
  else if (cell.getMetadata("tags")) cell.deleteMetadata("tags");
}

/* Where the reader of this notebook is, as the labextension tells: {active, isTyping, select};
   undefined without one. */
function readerOf(context) {
  const event = new CustomEvent("qwen-magic:reader", { detail: { context } });
  document.dispatchEvent(event);
  return event.detail.reader;
}

const NOTEBOOK = {
  outline: ({ model }) =>
    [...model.cells].map((cell) => ({
      ...facts(cell),
      failed: outputsOf(cell).some((each) => each.type === "error"),
      empty: !/\S/.test(cell.sharedModel.getSource()),
      heading: headingOf(cell),
    })),

  /* Those of `ids`, in that order, until `most` characters are told. */
  cells({ model }, { ids, most, ...how }) {
    const all = new Map([...model.cells].map((cell) => [cell.id, cell]));
    const told = [];
    let left = most;
    for (const cell of ids.map((id) => all.get(id)).filter(Boolean)) {
      if (left <= 0) break;
      const source = piece(cell.sharedModel.getSource(), how);
      const outputs = outputsOf(cell).map((each) => output(each, how));
      told.push({ ...facts(cell), source, outputs });
      for (const each of [source, ...outputs]) left -= each.text.length + each.tail.length;
    }
    return told;
  },

  /* One undo step of the cell, with nothing that is typed just before or after it; nothing where it
     was edited since it `was` read. */
  replace({ model }, { cell, was, source }) {
    const found = [...model.cells].find(({ id }) => id === cell);
    if (!found) return "missing";
    if (was !== undefined && found.sharedModel.getSource() !== was) return "edited";
    const steps = found.sharedModel.undoManager;
    steps?.stopCapturing();
    found.sharedModel.setSource(source);
    steps?.stopCapturing();
    return "done";
  },

  /* A proposed cell below the cell `after`: the empty one that Shift+Enter has made there, else a new
     one. It is selected only where the reader would go anyway, and never under somebody who types:
     without a `reader` that is not known, and the cell that may have their caret is left alone. The id of the cell; null where there is no such place. */
  insert(context, { after, source, mark }) {
    const { model } = context;
    const at = [...model.cells].findIndex(({ id }) => id === after);
    if (at < 0) return null;
    const reader = readerOf(context);
    const next = at + 1 < model.cells.length ? model.cells.get(at + 1) : undefined;
    const isEmpty = next?.type === "code" && !/\S/.test(next.sharedModel.getSource());
    const isFree = isEmpty && !next.executionCount && next.outputs.length === 0;
    const isReused = isFree && reader?.isTyping === false;
    if (isReused) next.sharedModel.setSource(source);
    else model.sharedModel.insertCell(at + 1, { cell_type: "code", source, metadata: {} });
    const made = model.cells.get(at + 1);
    setMark(made, mark);
    reader?.follow(at + 1, isReused);
    return made.id;
  },

  /* Another proposal in the place of one that nobody has edited or run, in one undo step. One that
     was edited stays, as a cell of the reader's own. */
  swap(context, { cell, was, source, mark }) {
    const found = named(context, cell);
    if (!found) return null;
    const isUntouched = found.sharedModel.getSource() === was && found.getMetadata(PROPOSAL)?.open;
    if (isUntouched) found.sharedModel.setSource(source);
    setMark(found, isUntouched ? mark : null);
    return isUntouched ? cell : null;
  },

  /* The cell of a step was run, or not after all (`open`), or is one as any other. */
  mark({ model }, { step, open }) {
    for (const cell of model.cells) {
      if (!isMarked(cell, step)) continue;
      const mark = cell.getMetadata(PROPOSAL);
      setMark(cell, open !== undefined && mark.cell === cell.id ? { ...mark, open } : null);
    }
    return "done";
  },

  /* An output of a cell that does not run: in the place of the one that shows the widget `model`, or
     the same turn; else the last. */
  output(context, { cell, output: made, model }) {
    const outputs = named(context, cell)?.outputs;
    if (!outputs) return null;
    const turn = String(made.data["text/html"] ?? "").match(/\bqm-id-[\w-]+/)?.[0];
    for (let at = 0; at < outputs.length; at += 1) {
      const { data = {} } = outputs.get(at).toJSON();
      const shows = data["application/vnd.jupyter.widget-view+json"]?.model_id === model;
      if (shows || (turn && textOf(data["text/html"] ?? "").includes(turn))) {
        outputs.set(at, made);
        return "done";
      }
    }
    outputs.add(made);
    return "done";
  },
};
const WRITES = ["replace", "insert", "swap", "mark", "output"];
