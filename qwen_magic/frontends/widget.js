/* One view of one answer while it is being written.

   kernel -> view   {op: "patch", seq, patches}          the next batch; seq grows by one
                    {op: "snap", seq, patches, state}    the whole view as of batch seq
   view -> kernel   {op: "hello"}                        send me a snap: I am new, or missed a batch
                    {op: "stop"}

   A patch makes or changes one element that is known by an id; ids are kept in a map here and
   never written into the page. `turn` is the element that holds the answer, `say` the line for
   screen readers. When the model says `done`, the kernel has replaced this output by its saved
   form; a view that is still on the page then (its display was lost by a reload) does it itself. */

const ASK_AGAIN = 1000; // ms until a hello that got no answer is sent again
const GRACE = 800; // ms that the kernel has to replace the output
const END = 24; // px from the end of a panel that count as being at its end
const TEX = /\$|\\\(|\\\[/;

function make(tag, className, attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/* HTML -> its nodes. No picture is loaded from elsewhere, whatever the HTML says. */
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const image of template.content.querySelectorAll("img")) {
    image.removeAttribute("srcset");
    if (!/^data:/i.test(image.getAttribute("src") ?? "")) image.removeAttribute("src");
  }
  return template.content;
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/* The elements of a view by id, and the patches that change them. */
class Page {
  constructor(roots) {
    this.roots = roots;
    this.onFresh = () => {}; // called with each element that is new or has grown
    this.touched = new Set(); // ids of panels that the reader opened or closed
    this.clear();
  }

  clear() {
    this.elements = new Map(Object.entries(this.roots));
    this.tails = new Map();
    for (const root of Object.values(this.roots)) root.replaceChildren();
  }

  /* True if the patch found its place. */
  apply(patch) {
    const { do: what, id } = patch;
    if (what === "add") return this.add(id, this.elements.get(patch.parent), patch.html);
    const element = this.elements.get(id);
    if (!element) return false;
    if (what === "replace") this.replace(id, element, patch.html);
    else if (what === "extend") return this.extend(id, element, patch);
    else if (what === "remove") this.remove(id, element);
    else if (what === "fold") this.fold(id, element);
    else if (what === "unfold" && !this.touched.has(id)) element.open = true;
    return true;
  }

  add(id, parent, html) {
    const element = parse(html).firstElementChild;
    if (!parent || !element) return false;
    if (this.elements.has(id)) this.remove(id, this.elements.get(id));
    parent.append(element);
    this.elements.set(id, element);
    this.onFresh(element);
    return true;
  }

  replace(id, old, html) {
    const element = parse(html).firstElementChild;
    const focused = document.activeElement === old;
    old.replaceWith(element);
    this.elements.set(id, element);
    this.tails.delete(id);
    if (focused) element.focus({ preventScroll: true });
    this.onFresh(element);
  }

  extend(id, element, { at, html, tail }) {
    for (const node of this.tails.get(id) ?? []) node.remove();
    const target = at ? element.querySelector(at) : element;
    if (!target) return false;
    if (html) target.append(parse(html));
    const nodes = tail ? parse(tail) : null;
    this.tails.set(id, nodes ? [...nodes.childNodes] : []);
    if (nodes) target.append(nodes);
    this.onFresh(element);
    return true;
  }

  remove(id, element) {
    for (const [child, known] of this.elements) {
      if (element.contains(known)) {
        this.elements.delete(child);
        this.tails.delete(child);
      }
    }
    element.remove();
  }

  /* Close a panel that was open while it ran, unless the reader has a hand in it. */
  fold(id, element) {
    const selection = document.getSelection();
    const reading =
      selection?.rangeCount > 0 &&
      !selection.isCollapsed &&
      selection.getRangeAt(0).intersectsNode(element);
    if (!this.touched.has(id) && !reading) element.open = false;
  }

  idOf(element) {
    for (const [id, known] of this.elements) if (known === element) return id;
    return undefined;
  }
}

/* What the notebook offers beyond widgets; each is looked for, none is relied on. */
async function managerOf(model) {
  try {
    const layout = await model.widget_manager.get_model(model.get("layout_id"));
    return layout.widget_manager;
  } catch {
    return undefined;
  }
}

async function typesetterOf(model) {
  const typesetter = (await managerOf(model))?.rendermime?.latexTypesetter;
  return typeof typesetter?.typeset === "function" ? typesetter : undefined;
}

const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";

/* The notebook's own model of the cell that this answer stands in. */
async function cellOf(model) {
  const shared = (await managerOf(model))?.context?.model?.sharedModel;
  const named = (cell) => (cell.getId?.() ?? cell.id) === model.get("cell_id");
  return model.get("cell_id") ? shared?.cells?.find(named) : undefined;
}

/* Is this the answer's output: the widget, or the part of it that a save in mid-stream kept? */
function isOurs(output, model) {
  const view = output.data?.[WIDGET_VIEW];
  if (view) return view.model_id === model.get("mid");
  return String(output.data?.["text/html"] ?? "").includes(model.get("aid"));
}

/* Put `output` in the place of this answer's output. True if that was possible. */
async function replaceOutput(model, output) {
  const cell = await cellOf(model);
  if (!cell?.getOutputs || !cell.setOutputs) return false;
  const outputs = cell.getOutputs();
  if (!outputs.some((old) => isOurs(old, model))) return false;
  cell.setOutputs(outputs.map((old) => (isOurs(old, model) ? output : old)));
  return true;
}

const display = (data, metadata) => ({ output_type: "display_data", data, metadata });
const savedForm = (model) => display(model.get("bundle"), model.get("metadata"));
const liveForm = (model, html) => {
  const view = { version_major: 2, version_minor: 0, model_id: model.get("mid") };
  return display({ [WIDGET_VIEW]: view, "text/html": html, "text/plain": "" }, {});
};

/* While it streams, a save keeps what has come in the place of the widget, since a saved widget
   shows an error to whoever opens the notebook without this kernel. `toJSON` is what a save reads. */
async function shieldSave(model, partial) {
  const cell = await cellOf(model);
  if (typeof cell?.toJSON !== "function") return () => {};
  const before = cell.toJSON;
  let shielding = true;
  cell.toJSON = function () {
    const json = before.call(this);
    if (!shielding || !Array.isArray(json.outputs)) return json;
    const outputs = json.outputs.map((output) =>
      isOurs(output, model) ? display(partial(), {}) : output,
    );
    return { ...json, outputs };
  };
  return () => (shielding = false);
}

/* Once for each model, on a page that has just been loaded as well. A page that was reloaded in
   mid-stream has the saved part in its notebook, and lost the display id by which the kernel would
   replace it: the live view, or the whole answer, takes its place from here. */
function adopt(model) {
  const settle = () => replaceOutput(model, savedForm(model)).catch(() => false);
  let leaving;
  const onDone = () => {
    clearTimeout(leaving);
    if (model.get("done")) leaving = setTimeout(settle, GRACE);
  };
  model.on("change:done", onDone);
  if (model.get("done")) settle();
  else resume(model).catch(() => {});
  return () => {
    clearTimeout(leaving);
    model.off("change:done", onDone);
  };
}

/* Show the live view again where the notebook holds the saved part of this answer. */
async function resume(model) {
  const output = (await cellOf(model))?.getOutputs?.().find((old) => isOurs(old, model));
  if (!output || output.data[WIDGET_VIEW] || model.get("done")) return;
  await replaceOutput(model, liveForm(model, output.data["text/html"]));
}

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.seq = null; // of the last batch applied; null before the first snapshot
    this.asked = 0; // when a hello went out that has no answer yet
    this.running = true;
    this.following = new WeakMap(); // panel of reasoning -> whether the reader is at its end
    this.untypeset = new Set(); // blocks with TeX that wait until they are complete
    this.sources = new WeakMap(); // block that was typeset -> its HTML before
    this.build();
    this.onMessage = (message) => this.receive(message);
    this.onDone = () => this.finish();
    model.on("msg:custom", this.onMessage);
    model.on("change:done", this.onDone);
    if (model.get("done")) {
      this.finish();
      return;
    }
    this.ask();
    this.shield = shieldSave(model, () => this.partial()).catch(() => () => {});
  }

  close() {
    this.shield?.then((lower) => lower());
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:done", this.onDone);
    clearInterval(this.ticking);
    clearTimeout(this.leaving);
    cancelAnimationFrame(this.frame);
  }

  build() {
    this.turn = make("section", "qm-turn qm-is-running", { "aria-label": this.model.get("label") });
    this.say = make("p", "qm-say", { role: "status" });
    this.main = make("div", "qm-main");
    this.run = make("div", "qm-run");
    this.run.hidden = true;
    const corner = make("div", "qm-run-in");
    this.time = make("span", "qm-clock", { "aria-hidden": "true" });
    this.stop = make("button", "qm-btn qm-stop", { type: "button" });
    this.stop.textContent = "Stop";
    this.stop.addEventListener("click", () => this.askToStop());
    corner.append(this.time, this.stop);
    this.run.append(corner);
    this.turn.append(this.say, this.run, this.main);
    this.el.append(this.turn);
    this.page = new Page({ turn: this.main, say: this.say });
    this.page.onFresh = (element) => this.welcome(element);
    this.turn.addEventListener("click", (event) => this.clicked(event));
    this.main.addEventListener("scroll", (event) => this.scrolled(event.target), true);
  }

  ask() {
    const now = Date.now();
    if (now - this.asked < ASK_AGAIN) return;
    this.asked = now;
    this.model.send({ op: "hello" });
  }

  receive(message) {
    if (message.op === "snap") this.rebuild(message);
    else if (message.op === "patch") this.advance(message);
  }

  advance({ seq, patches }) {
    if (this.seq !== null && seq <= this.seq) return;
    if (this.seq === null || seq !== this.seq + 1) {
      this.ask();
      return;
    }
    this.seq = seq;
    this.applyAll(patches);
  }

  rebuild({ seq, patches, state }) {
    this.setClock(state);
    this.asked = 0;
    if (this.seq !== null && seq <= this.seq) return; // another view asked
    const kept = this.remember();
    this.seq = seq;
    this.page.clear();
    this.untypeset.clear();
    this.applyAll(patches);
    this.restore(kept);
  }

  /* What the reader did to the view, by id, so that it outlives a rebuilding. */
  remember() {
    const open = new Map();
    for (const id of this.page.touched) open.set(id, this.page.elements.get(id)?.open);
    const focus = this.page.idOf(document.activeElement);
    return { open, focus };
  }

  restore({ open, focus }) {
    for (const [id, isOpen] of open) {
      const panel = this.page.elements.get(id);
      if (panel && isOpen !== undefined) panel.open = isOpen;
    }
    this.page.elements.get(focus)?.focus({ preventScroll: true });
  }

  applyAll(patches) {
    let whole = true;
    for (const patch of patches) whole = this.page.apply(patch) && whole;
    if (!whole) {
      this.seq = -1; // any snapshot is newer
      this.ask();
    }
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.settle());
  }

  /* After a batch: follow live reasoning, and typeset what is complete. */
  settle() {
    for (const panel of this.main.querySelectorAll(".qm-is-live + .qm-think")) {
      if (this.following.get(panel) !== false) panel.scrollTop = panel.scrollHeight;
      panel.classList.toggle("qm-is-scrolled", panel.scrollTop > 2);
    }
    this.typeset();
  }

  scrolled(panel) {
    if (!panel.classList?.contains("qm-think")) return;
    const left = panel.scrollHeight - panel.scrollTop - panel.clientHeight;
    this.following.set(panel, left < END);
    panel.classList.toggle("qm-is-scrolled", panel.scrollTop > 2);
  }

  /* An element that is new or has grown. */
  welcome(element) {
    const bars = element.matches(".qm-code")
      ? element.querySelectorAll(":scope > .qm-bar")
      : element.querySelectorAll(".qm-code > .qm-bar");
    for (const bar of bars) if (!bar.querySelector("button")) bar.append(this.copyButton());
    if (element.parentElement?.matches(".qm-answer, .qm-think") && TEX.test(element.textContent)) {
      this.untypeset.add(element);
    }
  }

  copyButton() {
    const button = make("button", "qm-btn qm-btn-plain qm-copy", { type: "button" });
    button.textContent = "Copy";
    return button;
  }

  /* A block is complete when another follows it, or when its text has ended. */
  isComplete(block) {
    if (!this.running || block.nextElementSibling) return true;
    const text = block.parentElement;
    if (text.matches(".qm-think")) return !text.previousElementSibling?.matches(".qm-is-live");
    return text !== this.main.lastElementChild;
  }

  async typeset() {
    if (this.untypeset.size === 0) return;
    this.typesetter ??= typesetterOf(this.model);
    const typesetter = await this.typesetter;
    for (const block of [...this.untypeset]) {
      if (block.isConnected && !this.isComplete(block)) continue;
      this.untypeset.delete(block);
      if (!block.isConnected || !typesetter) continue;
      this.sources.set(block, block.innerHTML);
      block.classList.add("qm-is-typeset");
      typesetter.typeset(block);
    }
  }

  clicked(event) {
    const panel = event.target.closest?.("summary")?.parentElement;
    const id = panel && this.page.idOf(panel);
    if (id !== undefined && id !== null) this.page.touched.add(id);
    const copy = event.target.closest?.(".qm-copy");
    if (copy) this.copy(copy);
  }

  async copy(button) {
    const code = button.closest(".qm-code").querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(code);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  askToStop() {
    this.stop.disabled = true;
    this.stop.textContent = "Stopping…";
    this.model.send({ op: "stop" });
  }

  setClock({ seconds, running, stoppable }) {
    this.began = performance.now() - seconds * 1000;
    this.running = running;
    this.turn.classList.toggle("qm-is-running", running);
    this.run.hidden = !running;
    this.stop.hidden = !stoppable;
    clearInterval(this.ticking);
    if (!running) return;
    const tick = () => (this.time.textContent = clock((performance.now() - this.began) / 1000));
    tick();
    this.ticking = setInterval(tick, 500);
  }

  /* The turn is over. */
  finish() {
    this.setClock({ seconds: 0, running: false, stoppable: false });
    this.settle();
    this.leaving = setTimeout(() => this.leave(), 2 * GRACE);
  }

  /* What has come so far, as an output that needs no widget. */
  partial() {
    const whole = this.main.cloneNode(true);
    const typeset = [...this.main.querySelectorAll(".qm-is-typeset")];
    whole.querySelectorAll(".qm-is-typeset").forEach((block, place) => {
      block.innerHTML = this.sources.get(typeset[place]) ?? block.innerHTML;
    });
    for (const button of whole.querySelectorAll("button")) button.remove();
    const style = String(this.model.get("_css") ?? "").split("/* === live only === */")[0];
    const turn = make("div", `qm-turn qm-saved ${this.model.get("aid")}`);
    turn.append(...whole.childNodes);
    return {
      "text/html": `<div><style>${style}</style>${turn.outerHTML}</div>`,
      "text/plain": this.main.innerText,
    };
  }

  /* `adopt` puts the saved form in this output's place. Where it cannot, it is shown here. */
  leave() {
    if (!this.turn.isConnected) return;
    const html = this.model.get("bundle")?.["text/html"];
    if (html) this.el.replaceChildren(parse(html));
  }
}

export default {
  initialize({ model }) {
    return adopt(model);
  },
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};
