/* What can be done with the answers on a page, while the kernel lives that gave them.

   kernel -> page   `answers`: what each answer offers, by its mark (a class of its element)
                    {op: "say" | "text" | "show" | "error" | "done", id, …}   the reply to request id
                    {op: "here"}                         the reply to hello
                    {op: "notebook", …}                  of the notebook itself: see notebook.js
   page -> kernel   {op: "step", do: "skip" | "stop", step}   a button over a proposed cell
                    {op: "copy" | "keep" | "fork" | "sibling", key: mark, id, argument}
                    {op: "hello"}                        are you still there?
                    {op: "page", session}                a page has the model

   A saved answer is plain HTML. This puts buttons under it, here on the page only: the notebook's
   file never has them. An answer that the notebook draws anew is decorated anew. */

const MARK = /\bqm-id-[\w-]+/;
const ANSWERS = ".qm-saved[class*='qm-id-']";
const EDITS = ".qm-edit[class*='qm-id-']";
const PATIENCE = 3000; // ms after which the reader is told that the kernel is busy
const SHOWN = 6000; // ms that a word about what was done stays
const GONE = /dead|restarting|terminating|unknown/; // a kernel's status when it is not this one now

function make(tag, className, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function button(text, act, attributes = {}) {
  const made = make("button", "qm-btn qm-btn-plain qm-act", text, { type: "button", ...attributes });
  made.addEventListener("click", act);
  return made;
}

const markOf = (turn) => turn.className.match(MARK)[0];
const holds = (output, mark) => String(output.data?.["text/html"] ?? "").includes(mark);
const codeOf = (block) =>
  [...block.querySelectorAll("pre")].map((pre) => pre.textContent).join("").replace(/\n+$/, "");

/* `text` is a promise: a browser allows the clipboard only at the click, not when a reply comes. */
async function toClipboard(text) {
  const blob = text.then((words = "") => new Blob([words], { type: "text/plain" }));
  try {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  } catch {
    await navigator.clipboard.writeText(await text);
  }
}

/* The notebook that this page shows: its cells, its kernel. Looked for, never relied on. */
async function contextOf(model) {
  try {
    return (await model.get("layout")).widget_manager.context;
  } catch {
    return undefined;
  }
}

/* The name of a page to its kernel. */
const sessionOf = (context) => context?.sessionContext?.session?.kernel?.clientId;

async function placeOf(model, mark) {
  const notebook = (await contextOf(model))?.model?.sharedModel;
  const cells = [...(notebook?.cells ?? [])];
  const named = model.get("answers")[mark]?.cell;
  const shows = (cell) => cell.getOutputs?.().some((output) => holds(output, mark));
  const isNamed = (cell) => (cell.getId?.() ?? cell.id) === named;
  let index = cells.findIndex((cell) => isNamed(cell) && shows(cell));
  if (index < 0) index = cells.findIndex(shows);
  return { notebook, index, cell: cells[index] };
}

/* The buttons under one answer. */
class Bar {
  constructor(page, turn, mark, facts) {
    this.page = page;
    this.turn = turn;
    this.mark = mark;
    this.says = make("span", "qm-acts-say", "", { role: "status" });
    this.element = make("div", "qm-acts qm-act", "", { role: "group", "aria-label": "Actions" });
    this.element.append(...this.buttons(facts), this.says);
    turn.insertBefore(this.element, turn.querySelector(":scope > .qm-foot"));
    for (const block of turn.querySelectorAll(".qm-code")) this.decorate(block);
    if (facts.sibling?.[1] > 1) this.recount(...facts.sibling);
  }

  /* The footer was written when its cell had fewer answers: here it counts as the bar does. */
  recount(place, count) {
    const facts = [...this.turn.querySelectorAll(".qm-foot .qm-fact")];
    let told = facts.find((fact) => /^answer\s\d/.test(fact.textContent));
    if (!told) {
      told = make("span", "qm-fact");
      facts.find((fact) => /\bturn\s\d+$/.test(fact.textContent))?.after(" · ", told);
    }
    told.textContent = `answer\u00a0${place}/${count}`;
  }

  *buttons({ sibling, fork = true, keep = "" }) {
    if (keep) {
      const made = button(keep === "kept" ? "✓ Kept" : "Keep this one", () => this.ask("keep"));
      made.disabled = keep === "kept";
      yield made;
    }
    yield button("Copy as Markdown", () => this.copy());
    const codes = [...this.turn.querySelectorAll(".qm-answer .qm-code:not(details)")];
    const blocks = codes.filter((block) => this.isPython(block));
    if (blocks.length > 0) {
      const words = blocks.length > 1 ? `Insert ${blocks.length} cells below` : "Insert code below";
      yield button(words, () => this.insert(blocks));
    }
    yield button("Run again", () => this.runAgain());
    if (fork) yield button("Fork from here", () => this.ask("fork"));
    if (sibling?.[1] > 1) yield this.siblings(...sibling);
  }

  isPython(block) {
    const label = block.querySelector(".qm-lang")?.textContent ?? "";
    return this.page.model.get("python").includes(label.toLowerCase());
  }

  siblings(place, count) {
    const group = make("span", "qm-sib", "", { role: "group", "aria-label": "Answers of this cell" });
    const step = (sign, words, to) => {
      const made = button(sign, () => this.ask("sibling", to), { "aria-label": words });
      made.disabled = to < 1 || to > count;
      return made;
    };
    const where = make("span", "qm-sib-at", `${place}/${count}`);
    group.append(
      step("‹", "The answer before", place - 1),
      where,
      step("›", "The next answer", place + 1),
    );
    return group;
  }

  /* Copy, wrap and insert on a block of code. */
  decorate(block) {
    const bar = block.querySelector(":scope > .qm-bar");
    if (!bar || bar.querySelector("button")) return;
    const wrap = button("Wrap", () => {
      const wrapped = block.classList.toggle("qm-is-wrapped");
      wrap.setAttribute("aria-pressed", wrapped);
    });
    wrap.setAttribute("aria-pressed", "false");
    if (this.isPython(block) && block.closest(".qm-answer")) {
      bar.append(button("Insert below", () => this.insert([block])));
    }
    const copy = button("Copy", () => this.copyCode(block, copy), { "aria-label": "Copy code" });
    bar.append(wrap, copy);
  }

  say(text, isError = false) {
    clearTimeout(this.fading);
    this.says.textContent = text;
    this.says.classList.toggle("qm-is-error", isError);
    if (text && !isError) this.fading = setTimeout(() => (this.says.textContent = ""), SHOWN);
  }

  /* Ask the kernel and do what its reply says; the reply. */
  async ask(op, argument = null) {
    const busy = setTimeout(() => this.say("The kernel is busy: it will answer later"), PATIENCE);
    const reply = await this.page.request(op, this.mark, argument);
    clearTimeout(busy);
    if (reply.op === "say" || reply.op === "error") this.say(reply.text, reply.op === "error");
    if (reply.op === "show") await this.page.show(this, reply);
    return reply;
  }

  async copy() {
    const reply = this.ask("copy");
    try {
      await toClipboard(reply.then(({ text }) => text));
    } catch {
      if ((await reply).op !== "error") this.say("The browser refused its clipboard", true);
      return;
    }
    if ((await reply).op === "text") this.say("Copied as Markdown");
  }

  async copyCode(block, pressed) {
    const done = await toClipboard(Promise.resolve(codeOf(block))).then(
      () => "Copied",
      () => "Not copied",
    );
    pressed.textContent = done;
    setTimeout(() => (pressed.textContent = "Copy"), 1500);
  }

  async insert(blocks) {
    const sources = blocks.map(codeOf);
    const { notebook, index } = await placeOf(this.page.model, this.mark);
    if (index >= 0 && typeof notebook.insertCell === "function") {
      sources.forEach((source, number) => {
        notebook.insertCell(index + 1 + number, { cell_type: "code", source, metadata: {} });
      });
      this.say(sources.length > 1 ? `Inserted ${sources.length} cells below` : "Inserted below");
      return;
    }
    await toClipboard(Promise.resolve(sources.join("\n\n"))).then(
      () => this.say("Copied: paste it into a new cell"),
      () => this.say("This front end takes no new cell from here", true),
    );
  }

  /* The notebook's own Run button, which runs the cell that was clicked in. */
  runAgain() {
    const cell = this.turn.closest(".jp-Cell");
    const run = this.turn
      .closest(".jp-NotebookPanel")
      ?.querySelector("[data-command='notebook:run-cell-and-select-next']");
    if (run && cell?.classList.contains("jp-mod-active")) {
      // It acts on the press of a mouse button or of this key, not on a click.
      run.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    } else this.say("Run the cell again: its new answer stands beside this one");
  }
}

/* Accept and Discard under the difference of a cell's source to the one that was proposed. */
class Edit {
  constructor(page, shown, mark, edit) {
    this.page = page;
    this.mark = mark;
    this.edit = edit;
    this.says = make("span", "qm-acts-say", "", { role: "status" });
    this.element = make("div", "qm-acts qm-act", "", { role: "group", "aria-label": "The new source" });
    this.accepts = button("Accept", () => this.accept(), { title: "Replace the cell's source; run nothing" });
    this.discards = button("Discard", () => this.settle("Discarded"), { title: "Leave the cell as it is" });
    this.element.append(this.accepts, this.discards, this.says);
    shown.append(this.element);
  }

  async accept() {
    const context = await contextOf(this.page.model);
    const outcome = context?.model?.cells ? NOTEBOOK.replace(context, this.edit) : "missing";
    if (outcome === "done") return this.settle("Accepted: the cell has the new source, and was not run");
    this.says.classList.add("qm-is-error");
    if (outcome === "missing") this.says.textContent = "The cell is no longer here";
    else {
      this.says.textContent = "The cell was edited since then";
      this.accepts.textContent = "Replace it all the same";
      delete this.edit.was;
    }
  }

  /* For good, on all pages: the kernel offers it no longer. */
  settle(words) {
    this.says.classList.remove("qm-is-error");
    this.says.textContent = words;
    for (const pressed of [this.accepts, this.discards]) pressed.remove();
    const { [this.mark]: _, ...others } = this.page.model.get("edits");
    this.page.model.set("edits", others);
    this.page.model.save_changes();
  }
}

class Answers {
  constructor(model) {
    this.model = model;
    this.bars = new WeakMap(); // answer's element -> [its facts as JSON, its bar]
    this.waiting = new Map(); // id of a request -> what takes its reply
    this.asked = 0;
    this.isAlive = true;
    this.onChange = () => this.scan();
    this.onMessage = (message) => this.receive(message);
    this.onConnection = () => this.ask();
    this.onStatus = (_, status) => this.follow(status);
    model.on("change:answers change:edits", this.onChange);
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.onConnection);
    this.observer = new MutationObserver(() => {
      this.scanning ??= setTimeout(() => this.scan(), 100);
    });
    this.observer.observe(document.body, { childList: true, subtree: true });
    this.watched = contextOf(model).then((context) => context?.sessionContext?.statusChanged);
    this.watched.then((status) => status?.connect(this.onStatus));
    contextOf(model).then(async (context) => {
      this.context = context;
      await context?.sessionContext?.ready; // a page that was just loaded has no kernel yet
      this.tell({ op: "page", session: sessionOf(context) });
    });
    this.onStep = (event) => this.step(event);
    document.addEventListener("qwen-magic:step", this.onStep);
    this.scan();
  }

  close() {
    this.observer.disconnect();
    document.removeEventListener("qwen-magic:step", this.onStep);
    this.watched.then((status) => status?.disconnect(this.onStatus));
    this.model.off("change:answers change:edits", this.onChange);
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onConnection);
    clearTimeout(this.scanning);
    this.undress();
  }

  /* The connection came or went: no buttons until the kernel has said that it is there. */
  ask() {
    this.undress();
    this.tell({ op: "hello" });
  }

  tell(message) {
    try {
      this.model.send(message);
    } catch {
      // Without a kernel there is nothing to offer, and nobody asks.
    }
  }

  /* A button over a proposed cell of this kernel's notebook was pressed: the labextension tells. */
  async step(event) {
    if (!this.isAlive || event.detail.context !== this.context) return;
    event.preventDefault();
    const { do: what, step } = event.detail;
    this.tell({ op: "step", do: what, step });
  }

  /* What the kernel asks of the notebook (notebook.js). What writes is done once. */
  async serve({ id, session, do: what, ...request }) {
    const context = await contextOf(this.model);
    const mine = sessionOf(context) === session;
    if (WRITES.includes(what) && (!mine || this.written === id)) return;
    if (WRITES.includes(what)) this.written = id;
    const reply = context?.model?.cells ? NOTEBOOK[what]?.(context, request) : null;
    this.tell({ op: "notebook", id, mine, reply: reply ?? null });
  }

  /* The kernel's status, as the notebook knows it. */
  follow(status) {
    if (GONE.test(status)) this.undress();
    else if (this.status === "unknown") this.ask();
    this.status = status;
  }

  undress() {
    this.isAlive = false;
    for (const turn of document.querySelectorAll(`${ANSWERS}, ${EDITS}`)) {
      if (!this.bars.delete(turn)) continue;
      for (const act of turn.querySelectorAll(".qm-act")) act.remove();
    }
  }

  scan() {
    this.scanning = undefined;
    if (!this.isAlive) return;
    const answers = this.model.get("answers");
    for (const turn of document.querySelectorAll(ANSWERS)) {
      const mark = markOf(turn);
      if (answers[mark]) this.dress(turn, mark, answers[mark]);
    }
    const edits = this.model.get("edits");
    for (const shown of document.querySelectorAll(EDITS)) {
      const mark = markOf(shown);
      if (!edits[mark] || shown.querySelector(".qm-act")) continue;
      this.bars.set(shown, new Edit(this, shown, mark, { ...edits[mark] }));
    }
  }

  dress(turn, mark, facts) {
    const told = JSON.stringify(facts);
    const [known, bar] = this.bars.get(turn) ?? [];
    if (known === told && bar.element.parentElement === turn) return;
    bar?.element.remove();
    const made = new Bar(this, turn, mark, facts);
    this.bars.set(turn, [told, made]);
    if (this.heir?.mark === mark) this.inherit(made);
  }

  /* The sibling that was asked for has come: the focus goes on from it. */
  inherit(bar) {
    const [before, after] = bar.element.querySelectorAll(".qm-sib button");
    const next = this.heir.back ? before : after;
    (next?.disabled ? (this.heir.back ? after : before) : next)?.focus({ preventScroll: true });
    this.heir = undefined;
  }

  request(op, mark, argument) {
    const id = ++this.asked;
    this.model.send({ op, key: mark, id, argument });
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }

  receive(message) {
    if (message.op === "notebook") return void this.serve(message);
    if (message.op === "here") {
      this.isAlive = true;
      this.scan();
    }
    this.waiting.get(message.id)?.(message);
    this.waiting.delete(message.id);
  }

  /* Put another answer into this one's place: in the notebook, else at least on the page. */
  async show(bar, { bundle, metadata, figures }) {
    const html = bundle["text/html"];
    this.heir = { mark: html.match(MARK)?.[0], back: document.activeElement?.textContent === "‹" };
    const { cell } = await placeOf(this.model, bar.mark);
    if (cell?.setOutputs) {
      const display = (data, metadata = {}) => ({ output_type: "display_data", data, metadata });
      const made = [display(bundle, metadata), ...figures.map((data) => display(data))];
      const outputs = cell.getOutputs();
      const at = outputs.findIndex((old) => holds(old, bar.mark));
      const rest = (from, to) => outputs.slice(from, to).filter((old) => !holds(old, bar.mark));
      cell.setOutputs([...rest(0, at), ...made, ...rest(at)]);
      return;
    }
    const template = document.createElement("template");
    template.innerHTML = html;
    bar.turn.replaceWith(template.content);
  }
}

const PROMPT = /^(?:[ \t]*(?:#.*)?\n|%%(?:time|timeit|capture|prun)(?=\s).*\n)*%%qwen(?=\s|$)/;
const MARKDOWN = "text/x-ipythongfm";

/* Prompts as Markdown instead of Python. The labextension shows them better, and needs none of this;
   but it stands where the server does, and the server's environment may be another. */
async function showPrompts(model) {
  const cells = (await contextOf(model))?.model?.cells;
  if (!cells || window._JUPYTERLAB?.qwen_magic) return () => {};
  const python = new WeakMap(); // cell -> its type before
  const sync = (cell) => {
    if (cell.type !== "code") return;
    const isPrompt = PROMPT.test(cell.sharedModel.getSource());
    if (isPrompt === (cell.mimeType === MARKDOWN)) return;
    if (isPrompt) python.set(cell, cell.mimeType);
    cell.mimeType = isPrompt ? MARKDOWN : python.get(cell);
  };
  const watch = (cell) => {
    cell.contentChanged.connect(sync);
    cell.mimeTypeChanged.connect(sync); // the notebook sets it when it knows the kernel
    sync(cell);
  };
  const onCells = (_, { newValues = [] }) => newValues.forEach(watch);
  for (const cell of cells) watch(cell);
  cells.changed.connect(onCells);
  return () => {
    cells.changed.disconnect(onCells);
    for (const cell of cells) {
      cell.contentChanged.disconnect(sync);
      cell.mimeTypeChanged.disconnect(sync);
    }
  };
}

export default {
  initialize({ model }) {
    const answers = new Answers(model);
    const prompts = showPrompts(model);
    return () => {
      answers.close();
      prompts.then((leave) => leave());
    };
  },
};
