/* The page's part in steps (`%%qwen --steps`): the bar over a proposed cell, and whether a cell is run
   by itself. Nothing is ever run from here.

   A cell that Qwen proposes carries `qwen` in its metadata: {step: "GOAL:NUMBER", cell, goal, open}.
   The front end sends a cell's metadata with it, so that the kernel knows the proposal again, however
   it was edited. `cell` is its own id: where that is another, the cell is a copy, and stands for
   nothing. `open`: nobody has run it yet.

   Events on `document`, by which the hidden widget (frontends/notebook.js) and this work together:
     qwen-magic:reader {context}: this sets `reader`, which says whether the reader of that notebook
                       `isTyping`, and takes them along to a new cell: `follow(index, wasTheirs)`
     qwen-magic:step   {context, do: "skip" | "stop", step, cell}: a button was pressed; who passes it
                       on to the kernel cancels it. Where nobody does, the mark just goes. */

const ID = "qwen_magic:steps";
const KEY = "qwen";
const SKIP_TAG = "skip-execution"; // for nbclient
const PAUSE = 1000; // ms without a key after which nobody types
const DEAF = 500; // ms
const RUN_CHOSEN = ["run", "runAndAdvance", "runAndInsert"]; // and no other cells
const GOAL = /^(?:\s*(?:#.*)?\n)*%%qwen\s[^\n]*--steps(?=\s|$)/;

const markOf = ({ model }) => {
  const mark = model.getMetadata(KEY);
  return typeof mark?.step === "string" && mark.cell === model.id ? mark : undefined;
};

/* Take the mark from a cell: it is one as any other from now on. */
function unmark(model) {
  model.deleteMetadata(KEY);
  const tags = (model.getMetadata("tags") ?? []).filter((tag) => tag !== SKIP_TAG);
  if (tags.length > 0) model.setMetadata("tags", tags);
  else if (model.getMetadata("tags")) model.deleteMetadata("tags");
}

function make(tag, className, text, attributes = {}) {
  const element = Object.assign(document.createElement(tag), { className, textContent: text });
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/* The bar over one cell; as much of it as the cell's mark asks for. */
class Bar {
  constructor(cell, press) {
    this.cell = cell;
    this.press = press;
    this.draw = () => this.redraw();
    cell.model.metadataChanged.connect(this.draw);
    cell.ready?.then(() => this.place());
    cell.inViewportChanged?.connect(() => this.place());
    this.redraw();
  }

  redraw() {
    const { cell } = this;
    if (cell.isDisposed) return;
    const mark = markOf(cell);
    const shown = JSON.stringify(mark ?? null);
    if (shown === this.shown) return;
    this.shown = shown;
    this.element?.remove();
    cell.node.classList.toggle("qm-is-proposed", Boolean(mark?.open));
    if (!mark) return;
    const number = mark.step.split(":")[1];
    const words = mark.open ? `Qwen proposes · step ${number} · not run` : `Qwen · step ${number}`;
    const attributes = { role: "group", "aria-label": words, title: mark.goal ?? "" };
    this.element = make("div", "qm-step-bar", "", attributes);
    this.element.append(make("span", "qm-step-words", words));
    if (mark.open) {
      this.element.append(
        this.button("Skip", "Another step in place of this one", mark),
        this.button("Stop", "End this goal here: nothing more is sent", mark),
      );
    }
    this.place();
  }

  /* Above all else in the cell, which has nothing in it before it is first seen. */
  place() {
    const { node, isDisposed } = this.cell;
    if (this.shown !== "null" && !isDisposed && node.firstChild !== this.element) {
      node.prepend(this.element);
    }
  }

  button(words, title, { step }) {
    const made = make("button", "qm-step-button", words, { type: "button", title });
    made.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays
    made.addEventListener("click", (event) => {
      event.stopPropagation();
      this.press(this.cell, words.toLowerCase(), step);
    });
    return made;
  }
}

/* When somebody typed last, and until when keys are kept from the notebook: what was begun in an empty
   cell must not become commands to the proposal that came there, nor run it. */
let typed = -Infinity;
let deafUntil = -Infinity;

function noteTyping(event) {
  if (event.timeStamp < deafUntil && event.target.closest?.(".jp-Notebook")) {
    event.preventDefault();
    event.stopImmediatePropagation();
  } else if (event.key.length === 1 || event.key === "Backspace") typed = event.timeStamp;
}

function readerOf({ content, node, isVisible }) {
  const { activeCellIndex: active, mode } = content;
  const isHere = node.contains(document.activeElement);
  const isTyping = isHere && mode === "edit" && performance.now() - typed < PAUSE;
  return {
    isTyping,
    follow(index, wasTheirs) {
      const isNear = active === index || active === index - 1;
      if (!isNear || (mode === "edit" && !(wasTheirs && active === index))) return;
      content.activeCellIndex = index;
      content.deselectAll();
      if (isHere) content.mode = "command";
      if (isHere) deafUntil = performance.now() + DEAF;
      if (isVisible) content.scrollToItem?.(index, "smart");
    },
  };
}

const STYLE = `
.qm-step-bar { display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: center;
  margin: 2px 0 2px calc(var(--jp-cell-prompt-width, 64px) + var(--jp-cell-collapser-width, 8px));
  padding: 1px 8px; font: 12px/1.6 var(--jp-ui-font-family); color: var(--jp-ui-font-color2); }
.qm-is-proposed > .qm-step-bar { color: var(--jp-ui-font-color1);
  border-left: 3px solid var(--jp-brand-color1); background: var(--jp-layout-color2); }
@media (width <= 760px) { /* JupyterLab then puts prompts above inputs */
  .qm-step-bar { gap: 2px 6px; margin-left: var(--jp-cell-collapser-width, 8px); }
}
.qm-step-button { font: inherit; color: inherit; cursor: pointer; background: none;
  border: 1px solid var(--jp-border-color1); border-radius: 3px; padding: 0 5px; }
.qm-step-button:hover { background: var(--jp-layout-color3); }
.qm-step-button:focus-visible { outline: 2px solid var(--jp-brand-color1); }
`;

export default async function steps(take) {
  const { INotebookTracker, NotebookActions } = await take("@jupyterlab/notebook");

  function activate(_app, tracker) {
    document.head.append(make("style", "", STYLE));
    const bars = new WeakMap();

    function press(cell, what, step) {
      const panel = tracker.find(({ content }) => content.widgets.includes(cell));
      const detail = { context: panel?.context, do: what, step, cell: cell.model.id };
      const event = new CustomEvent("qwen-magic:step", { detail, cancelable: true });
      if (document.dispatchEvent(event)) unmark(cell.model);
    }

    /* Marked cells get a bar. Any other may be marked later. */
    function watch({ content }) {
      for (const cell of content.widgets) {
        if (cell.model.type !== "code" || bars.has(cell)) continue;
        bars.set(cell, new Bar(cell, press));
      }
    }
    tracker.widgetAdded.connect((_, panel) => {
      const follow = () => {
        watch(panel);
        panel.content.model?.cells.changed.connect(() => watch(panel));
      };
      panel.context.ready.then(follow);
      panel.content.modelChanged.connect(follow);
    });

    document.addEventListener("qwen-magic:reader", ({ detail }) => {
      const panel = tracker.find(({ context }) => context === detail.context);
      if (panel) detail.reader = readerOf(panel);
    });
    document.addEventListener("keydown", noteTyping, true);

    /* Was the cell that is about to be run chosen by itself? Asked of what runs the chosen cells. */
    let isAlone = false;
    for (const name of RUN_CHOSEN) {
      const run = NotebookActions[name];
      NotebookActions[name] = function (notebook, ...given) {
        isAlone = notebook.widgets.filter((cell) => notebook.isSelectedOrActive(cell)).length === 1;
        try {
          return run.call(this, notebook, ...given); // it has sent the cells when it returns
        } finally {
          isAlone = false;
        }
      };
    }

    /* The kernel is told with the cell, and the notebook keeps nothing of it. */
    NotebookActions.executionScheduled.connect((_, { notebook, cell }) => {
      const { model } = cell;
      const mark = model.getMetadata(KEY);
      if (!mark?.open && !GOAL.test(model.sharedModel.getSource())) return;
      // Cut and put elsewhere it has another id, and is the proposal still; beside it, it is a copy.
      const isMoved = mark?.open && !notebook.widgets.some((each) => each.model.id === mark.cell);
      const kept = isMoved ? { ...mark, cell: model.id } : mark;
      model.setMetadata(KEY, { ...kept, run: isAlone ? "alone" : "together" });
      const isRun = isAlone && mark?.open;
      queueMicrotask(() => {
        if (!kept) model.deleteMetadata(KEY);
        else if (isRun) unmark(model);
        if (kept && !(isRun && kept.cell !== model.id)) { // a copy is one as any other
          model.setMetadata(KEY, { ...kept, open: kept.open && !isRun });
        }
      });
    });
  }

  return {
    id: ID,
    description: "Shows which cell Qwen proposes, and lets no other but its reader run it.",
    autoStart: true,
    requires: [INotebookTracker],
    activate,
  };
}
