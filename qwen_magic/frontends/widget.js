/* One view of one answer while it is being written.

   kernel -> view   {seq, p}                            the next batch of patches; seq grows by one
                    {op: "snap", seq, p, state}         the whole view as of batch seq
                    {op: "many", batches}               those of several answers, by model
                    {op: "beat", seq}                   the kernel is there, and sent so much
                    {op: "result", bundle, metadata, figures}
   view -> kernel   {op: "hello", value}                a snap, please: new, or a batch missed
                    {op: "here"}                        a page has the model
                    {op: "stop"}
                    {op: "choose", value}               a question's button
                    {op: "result"}                      the saved form, please, once it is done

   A patch, [what, id, …] as in patches.py, changes one element, known by an id that is not in the
   page. `turn` holds the answer, `say` is for screen readers. At `done` the kernel has put the saved
   form in this output's place; a view that is still there then does it itself.

   What is out of sight and must be in reach stands in a dock above the notebook: clock, Stop, that
   a question waits; and the question itself where no view of this page has it. The document gets
   "qwen-magic:question" {id, text, show, element} for one out of sight (prevent the default to
   announce it in the dock's place), then "qwen-magic:answered" {id}. */

const ASK_AGAIN = 1000; // ms until a hello is sent again
const GRACE = 800; // ms for the kernel to replace the output
const SHARED = 3000; // ms between two states that a shared document keeps
const QUIET = 60; // ticks without a beat from a kernel of unknown status
const LOST = "The kernel is busy, or has ended";
const END = 24; // px from the end of a panel or page: there
const FIRST = /^(?:[^\n]*\n(?:<\/\w+>)*){40}/; // lines of a code block that stay in sight
const ASKS = "(?) "; // before the page's title while a question waits
const GONE = /dead|starting|terminating/; // a kernel's status when it is another
const TEX = /\$|\\\(|\\\[|\\begin\{/;

function make(tag, className, attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const TURN = `<p class="qm-say" role="status"></p>
<div class="qm-run" hidden><div class="qm-run-in"></div></div>
<div class="qm-main"></div>`;
const CLOCK = `<span class="qm-clock" aria-hidden="true"></span>
<button type="button" class="qm-btn qm-stop">Stop</button>`;
const SHOW = '<span class="qm-tell"></span><button type="button" class="qm-btn qm-show">Show</button>';
const PLAIN = '<button type="button" class="qm-btn qm-btn-plain';
const CODE_BUTTONS = `
${PLAIN} qm-wrap" aria-pressed="false">Wrap</button>
${PLAIN} qm-copy" aria-label="Copy code">Copy</button>`;

const COPY = `${PLAIN} qm-copy">Copy</button>`;
const noteOf = (text) => `<div class="qm-note" style="padding: 4px 0 4px 12px">
  <p class="qm-note-title"><b>${text}</b></p></div>`;

/* Its nodes. No picture is loaded from elsewhere. */
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

/* Is something selected here? The reader has a hand in it. */
function isHeld(element) {
  const selection = document.getSelection();
  if (!selection?.rangeCount || selection.isCollapsed) return false;
  return selection.getRangeAt(0).intersectsNode(element);
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

  /* True if the patch, [what, id, …], found its place. */
  apply([what, id, ...rest]) {
    const element = this.elements.get(id);
    const place = this.elements.get(rest[0]);
    if (what === "add" || what === "insert") return this.add(id, place, rest[1], what === "insert");
    if (!element) return false;
    if (what === "move") return this.move(id, element, place);
    if (what === "extend") return this.extend(id, element, ...rest);
    if (what === "grow") return this.grow(id, element, ...rest);
    if (what === "keep") this.tails.delete(id);
    if (what === "replace") this.replace(id, element, ...rest);
    if (what === "remove") this.remove(element);
    // The reader has a hand in a panel: it stays as it is.
    if (what === "fold" && !this.touched.has(id) && !isHeld(element)) element.open = false;
    if (what === "unfold" && !this.touched.has(id)) element.open = true;
    return true;
  }

  add(id, place, html, isBefore) {
    const element = parse(html).firstElementChild;
    if (!place || !element) return false;
    if (this.elements.has(id)) this.remove(this.elements.get(id));
    if (isBefore) place.before(element);
    else place.append(element);
    this.elements.set(id, element);
    this.onFresh(element);
    return true;
  }

  /* Into a panel, which opens where the reader has a hand in what it would hide. */
  move(id, element, parent) {
    if (!parent) return false;
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    const isOpened = this.touched.has(id) && element.open;
    if (focused || isOpened || isHeld(element)) parent.closest("details").open = true;
    parent.append(element);
    focused?.focus({ preventScroll: true });
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

  /* In the last element in the last element … `depth` steps down. */
  extend(id, element, depth, html, tail) {
    for (const node of this.tails.get(id)?.nodes ?? []) node.remove();
    let target = element;
    for (let step = 0; step < depth; step += 1) target = target?.lastElementChild;
    if (!target) return false;
    if (html) target.append(parse(html));
    this.tails.set(id, { target, nodes: [] });
    return this.grow(id, element, tail);
  }

  grow(id, element, tail) {
    const { target, nodes } = this.tails.get(id) ?? {};
    if (!target) return false;
    const more = [...parse(tail).childNodes];
    const last = nodes.at(-1);
    if (last?.nodeType === Node.TEXT_NODE && more[0]?.nodeType === Node.TEXT_NODE)
      last.appendData(more.shift().data);
    nodes.push(...more);
    target.append(...more);
    this.onFresh(element);
    return true;
  }

  remove(element) {
    for (const [child, known] of this.elements) {
      if (element.contains(known)) {
        this.elements.delete(child);
        this.tails.delete(child);
      }
    }
    element.remove();
  }

  idOf(element) {
    return [...this.elements].find(([, known]) => known === element)?.[0];
  }
}

/* Fold all but a block's first lines (as folding.py does). */
function foldCode(block) {
  const code = block.querySelector("pre > code");
  const html = code.innerHTML;
  const first = html.match(FIRST)?.[0];
  if (!first || first === html || block.querySelector(".qm-more")) return;
  code.innerHTML = html.slice(first.length);
  const count = code.textContent.replace(/\n$/, "").split("\n").length;
  const more = make("details", "qm-more");
  more.innerHTML = `<summary class="qm-more-head">${count} more line${count > 1 ? "s" : ""}</summary>
    ${code.parentElement.outerHTML}`;
  code.innerHTML = first;
  block.append(more);
}

/* Keeps the end of an answer in sight until the reader scrolls up from it. */
class Follower {
  constructor(turn) {
    this.turn = turn;
    this.on = undefined; // not known before the first look
    this.top = 0;
    this.onScroll = ({ target }) => this.scrolled(target);
    document.addEventListener("scroll", this.onScroll, { capture: true, passive: true });
  }

  get scroller() {
    for (let el = this.turn; el && el !== document.body; el = el.parentElement) {
      const isLonger = el.scrollHeight > el.clientHeight + 1;
      if (isLonger && /auto|scroll/.test(getComputedStyle(el).overflowY)) return el;
    }
    return document.scrollingElement;
  }

  get outermost() {
    let found = document.scrollingElement;
    for (let el = this.turn; el && el !== document.body; el = el.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(el).overflowY)) found = el;
    }
    return found;
  }

  /* How many px are below the edge. */
  past(scroller) {
    const isPage = scroller === document.scrollingElement;
    const edge = isPage ? innerHeight : scroller.getBoundingClientRect().bottom;
    return this.turn.getBoundingClientRect().bottom - Math.min(innerHeight, edge);
  }

  scrolled(target) {
    if (!target.contains(this.turn)) return;
    const scroller = this.scroller;
    const up = scroller.scrollTop < this.top;
    this.top = scroller.scrollTop;
    if (up || this.past(scroller) <= END) this.on = this.past(scroller) <= END;
  }

  follow() {
    if (this.on === false) return;
    const scroller = this.scroller;
    const past = this.past(scroller);
    if (this.on === undefined) this.top = scroller.scrollTop;
    this.on ??= past <= END;
    if (!this.on || past <= 0 || isHeld(this.turn)) return;
    scroller.scrollTop += past;
    this.top = scroller.scrollTop;
  }
}

/* What is there beyond widgets: looked for, never relied on. */
async function managerOf(model) {
  try {
    return (await model.get("layout")).widget_manager;
  } catch {
    return null;
  }
}

const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";

/* The notebook's model of this answer's cell. */
async function cellOf(model) {
  const shared = (await managerOf(model))?.context?.model?.sharedModel;
  const named = (cell) => (cell.getId?.() ?? cell.id) === model.get("cell_id");
  return model.get("cell_id") ? shared?.cells?.find(named) : undefined;
}

/* Is this our output: the widget, or what a save in mid-stream kept of it? */
function isOurs(output, model) {
  const view = output.data?.[WIDGET_VIEW];
  if (view) return view.model_id === model.get("mid");
  return String(output.data?.["text/html"] ?? "").includes(model.get("aid"));
}

/* Over the top of what scrolls around an answer, or of the window. */
function dockOf(scroller) {
  const panel = scroller?.offsetParent ?? document.body;
  let dock = panel.querySelector(":scope > .qm-dock");
  if (!dock) panel.append((dock = make("div", "qm-turn qm-dock")));
  if (panel === document.body) return dock;
  const end = panel.clientWidth - scroller.offsetLeft - scroller.clientWidth;
  dock.style.cssText = `position: absolute; top: ${scroller.offsetTop}px; right: ${end}px`;
  return dock;
}

/* By the model's id: `initialize` and `render` see it through objects of their own. */
const views = new Set();
const viewsOf = (model) => [...views].filter((view) => view.model.get("mid") === model.get("mid"));
const looks = new Map(); // what looks after a model's question
const ended = new Map(); // what came of an answer whose kernel is gone

/* The page's title says that questions wait, of whichever answers; also when the page sets it. */
function titled(id, asks) {
  const waiting = (window.qwenMagicWaiting ??= new Set());
  if (asks) waiting.add(id);
  else waiting.delete(id);
  const sign = () => {
    const title = document.title.replace(ASKS, "");
    const signed = waiting.size ? ASKS + title : title;
    if (document.title !== signed) document.title = signed;
  };
  if (!waiting.watch) new MutationObserver(sign).observe(document.head, { childList: true, subtree: true });
  waiting.watch = true;
  sign();
}

/* What is asked, its `key` unlike that of all others on the page; {} where nothing is. */
function questionOf(model) {
  const asked = model.get("question") ?? {};
  return asked.key ? { ...asked, key: `${model.get("mid")}:${asked.key}` } : {};
}

/* True if somebody took it over. */
function tell(name, detail) {
  return !document.dispatchEvent(
    new CustomEvent(`qwen-magic:${name}`, { detail, cancelable: true }),
  );
}

function choose(model, chosen) {
  for (const button of chosen.parentElement.children) button.disabled = true;
  model.send({ op: "choose", value: chosen.value });
}

/* Gives what looks after the model's question. Where no view has it, the cell gets one (a page that
   was loaded again was never told of it), else the dock asks. */
function holdQuestion(model) {
  const strip = make("div", "qm-strip");
  let told = "";
  let waiting;
  strip.addEventListener("click", ({ target }) => {
    if (target.matches(".qm-choice")) choose(model, target);
  });
  const place = async ({ text, html }) => {
    if (viewsOf(model).length) return;
    if (await resume(model).catch(() => false)) return void look();
    strip.innerHTML = '<span class="qm-tell"></span>';
    strip.firstChild.textContent = text;
    strip.append(parse(html));
    dockOf(null).append(strip);
  };
  const look = () => {
    const asked = ended.has(model.get("mid")) ? {} : questionOf(model);
    const { key } = asked;
    titled(model.get("mid"), Boolean(key));
    if (told && told !== key) tell("answered", { id: told });
    told = key;
    clearTimeout(waiting);
    strip.remove();
    for (const view of viewsOf(model)) view.look();
    if (key) waiting = setTimeout(() => place(asked), GRACE);
  };
  return look;
}

/* The kernel is gone by its status, or where it answers and knows this model no more. One that is
   busy does not answer, and is there. */
async function watchKernel(model, onGone) {
  const manager = await managerOf(model);
  const session = manager?.context?.sessionContext;
  const onStatus = (_, status) => GONE.test(status) && onGone();
  const onConnection = async (_, status) => {
    if (status !== "connected") return;
    const reply = await manager.kernel?.requestCommInfo?.({});
    if (reply?.content.comms && !(model.get("mid") in reply.content.comms)) onGone();
  };
  const slots = {
    statusChanged: onStatus,
    kernelChanged: onGone,
    connectionStatusChanged: onConnection,
  };
  for (const name in slots) session?.[name]?.connect(slots[name]);
  return () => {
    for (const name in slots) session?.[name]?.disconnect(slots[name]);
  };
}

const resumed = new Set(); // models whose view was put back on this page
const results = new Map(); // of models that are done

/* The saved form {bundle, metadata, figures}, which the kernel tells a page that lacks it. */
function resultOf(model) {
  const ask = (resolve) => {
    const take = (message) => {
      if (message.op !== "result") return;
      model.off("msg:custom", take);
      resolve(message);
    };
    model.on("msg:custom", take);
    model.send({ op: "result" });
  };
  const mid = model.get("mid");
  if (!results.has(mid)) results.set(mid, new Promise(ask));
  return results.get(mid);
}

/* This page's place among those that share the document, which look one after the other whether the
   output is still to be replaced: all at once would each add one. 0: it is the first, or alone. */
async function rankOf(model) {
  const { awareness } = (await managerOf(model)).context.model.sharedModel;
  const pages = [...awareness.getStates().keys()].sort((a, b) => a - b);
  return Math.max(0, pages.indexOf(awareness.clientID));
}

/* Put the saved form, with its figures, in the place of this answer's output; nothing where the cell
   runs anew, which shows its own. True if that was possible. */
async function replaceOutput(model) {
  const cell = await cellOf(model);
  if (!cell?.getOutputs || !cell.setOutputs) return false;
  let outputs = cell.getOutputs();
  if (!outputs.some((old) => isOurs(old, model))) return false;
  const { bundle, metadata, figures } = await resultOf(model);
  outputs = cell.getOutputs();
  const made = [display(bundle, metadata), ...figures.map((data) => display(data))];
  const isAnew = cell.executionState === "running" || outputs.length > 1;
  const place = (old) => (isAnew && old.metadata?.isAgain ? [] : made);
  cell.setOutputs(outputs.flatMap((old) => (isOurs(old, model) ? place(old) : [old])));
  return true;
}

const display = (data, metadata = {}) => ({ output_type: "display_data", data, metadata });

/* A save in mid-stream (it reads `toJSON`) keeps what has come, not the widget: an error without
   this kernel. */
async function shieldSave(model, partial) {
  const cell = await cellOf(model);
  if (typeof cell?.toJSON !== "function") return () => {};
  const before = cell.toJSON;
  let shielding = true;
  cell.toJSON = function () {
    const json = before.call(this);
    if (!shielding || !Array.isArray(json.outputs)) return json;
    const kept = (output) => (isOurs(output, model) ? display(partial()) : output);
    return { ...json, outputs: json.outputs.map(kept) };
  };
  const keeps = (await isShared(model)) && cell.updateOutputs && (await isAsker(model));
  const sharing = keeps && setInterval(() => keepShared(cell, model, partial), SHARED);
  return () => {
    shielding = false;
    clearInterval(sharing);
  };
}

/* The server saves a document that several pages share, out of the model that they share. There what
   has come takes the widget's place: the other pages draw it, and this one is not told. */
function keepShared(cell, model, partial) {
  const outputs = cell.getOutputs();
  const at = outputs.findIndex((output) => isOurs(output, model));
  if (at < 0 || model.get("done")) return;
  const kept = display(partial());
  if (outputs[at].data["text/html"] === kept.data["text/html"]) return;
  cell.updateOutputs(at, at + 1, [kept], "silent-change");
}

/* The page that asked renews what a shared document keeps: is there one? */
async function isLiveElsewhere(model, cell) {
  if (!(await isShared(model))) return false;
  const kept = () => cell.getOutputs().find((output) => isOurs(output, model))?.data ?? {};
  const before = kept();
  if (before[WIDGET_VIEW]) return false;
  await new Promise((done) => setTimeout(done, 3 * SHARED));
  return kept()["text/html"] !== before["text/html"];
}

/* Did this page send the cell, or take its answer over from one that was closed? */
async function isAsker(model) {
  const client = (await managerOf(model)).context.sessionContext?.session?.kernel?.clientId;
  return resumed.has(model.get("mid")) || client === model.get("session");
}

const isShared = async (model) => (await managerOf(model))?.context?.model?.collaborative;

/* Once for each model. A page reloaded in mid-stream has the saved part, and lost the display id by
   which the kernel would replace it. */
function adopt(model) {
  const settle = () => replaceOutput(model).catch(() => false);
  let leaving;
  const onDone = async () => {
    unwatch();
    leaving = setTimeout(settle, GRACE * (1 + (await rankOf(model).catch(() => 0))));
  };
  const onMessage = ({ op, batches }) => op === "many" && handOut(batches);
  const onQuestion = holdQuestion(model);
  const onGone = () => {
    if (model.get("done") || ended.has(model.get("mid"))) return;
    const shown = viewsOf(model);
    ended.set(model.get("mid"), shown[0]?.main.innerHTML ?? "");
    onQuestion();
    for (const view of shown) view.lose();
    unwatch();
  };
  let watching;
  const unwatch = () => watching?.then((stop) => stop());
  model.on("change:done", onDone);
  model.on("change:question", onQuestion);
  model.on("msg:custom", onMessage);
  if (model.get("done")) settle();
  else {
    model.send({ op: "here" });
    resume(model).catch(() => {});
    looks.set(model.get("mid"), onQuestion);
    watching = watchKernel(model, onGone).catch(() => () => {});
    onQuestion();
  }
  return () => {
    clearTimeout(leaving);
    unwatch();
    model.off("change:done", onDone);
    model.off("change:question", onQuestion);
    model.off("msg:custom", onMessage);
  };
}

/* What one message brings for many answers. */
function handOut(batches) {
  for (const view of views) {
    for (const batch of batches[view.model.get("mid")] ?? []) view.receive(batch);
  }
}

/* Show the live view where the saved part stands; or where nothing does, since the page was loaded
   after its cell began, or its cell was run again and waits. True if it was put there. */
async function resume(model) {
  const cell = await cellOf(model);
  if (!cell?.getOutputs || (await isLiveElsewhere(model, cell)) || model.get("done")) return false;
  const outputs = cell.getOutputs();
  const old = outputs.find((output) => isOurs(output, model));
  const isLost = cell.executionState === "idle" || Boolean(model.get("question")?.key);
  if (old ? old.data[WIDGET_VIEW] : !isLost) return false;
  const view = { version_major: 2, version_minor: 0, model_id: model.get("mid") };
  const isAgain = cell.executionState === "running";
  const made = display({ ...old?.data, [WIDGET_VIEW]: view }, { isAgain });
  resumed.add(model.get("mid"));
  cell.setOutputs(old ? outputs.map((output) => (output === old ? made : output)) : [...outputs, made]);
  return true;
}

class View {
  constructor(model, el, css) {
    this.model = model;
    this.el = el;
    this.css = css;
    this.seq = null; // of the last batch; null before the first snapshot
    this.asked = 0; // when a hello went out that has no answer yet
    this.running = true;
    this.following = new WeakMap(); // panel of reasoning -> is the reader at its end?
    this.unfinished = new Set(); // blocks with TeX or code that may still grow
    this.sources = new WeakMap(); // block that was typeset -> its HTML before
    this.build();
    this.onMessage = (message) => this.receive(message);
    this.onDone = () => this.finish();
    model.on("msg:custom", this.onMessage);
    model.on("change:done", this.onDone);
    views.add(this);
    if (model.get("done")) this.finish();
    else if (ended.has(model.get("mid"))) this.lose();
    else this.begin();
  }

  begin() {
    this.ask();
    managerOf(this.model).then((manager) => (this.isBlind = !manager?.context?.sessionContext));
    looks.get(this.model.get("mid"))?.();
    this.shield = shieldSave(this.model, () => this.partial()).catch(() => () => {});
  }

  close() {
    this.shield?.then((lower) => lower());
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:done", this.onDone);
    clearInterval(this.ticking);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("scroll", this.follower.onScroll, true);
    this.sight.disconnect();
    this.formulas.disconnect();
    this.bar.remove();
    views.delete(this);
    looks.get(this.model.get("mid"))?.();
  }

  build() {
    const classes = `qm-turn qm-is-running ${this.model.get("look")}`;
    this.turn = make("section", classes, { "aria-label": this.model.get("label") });
    this.turn.innerHTML = TURN;
    const part = (name) => this.turn.querySelector(`.qm-${name}`);
    const [say, main, run, head] = ["say", "main", "run", "run-in"].map(part);
    this.bar = make("div", "qm-line");
    head.innerHTML = CLOCK;
    this.bar.innerHTML = SHOW + CLOCK;
    Object.assign(this, { main, run, head });
    this.unseen = new Set(); // of the head and the question
    this.sight = new IntersectionObserver((entries) => this.sighted(entries));
    this.sight.observe(head);
    this.formulas = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.typeset(target);
    }, { scrollMargin: "25%" });
    this.el.append(this.turn);
    this.follower = new Follower(this.turn);
    this.page = new Page({ turn: main, say });
    for (const stop of this.both("stop")) stop.addEventListener("click", () => this.askToStop());
    this.bar.querySelector(".qm-show").addEventListener("click", () => this.show());
    this.page.onFresh = (element) => this.welcome(element);
    this.turn.addEventListener("click", (event) => this.clicked(event));
    this.main.addEventListener("scroll", (event) => this.scrolled(event.target), true);
  }

  ask(value = "") {
    const now = Date.now();
    if (now - this.asked < ASK_AGAIN) return;
    this.asked = now;
    this.model.send({ op: "hello", value });
  }

  receive(message) {
    this.quiet = 0;
    if (message.op === "snap") this.rebuild(message);
    else if (message.p) this.advance(message);
    else if (this.seq !== null && message.seq > this.seq) this.ask("missed");
  }

  advance({ seq, p: patches }) {
    if (this.seq !== null && seq <= this.seq) return;
    if (this.seq === null || seq !== this.seq + 1) return void this.ask();
    this.seq = seq;
    this.applyAll(patches);
  }

  rebuild({ seq, p: patches, state }) {
    this.setClock(state);
    this.asked = 0;
    if (this.seq !== null && seq <= this.seq) return; // another view asked
    const kept = this.remember();
    this.seq = seq;
    this.page.clear();
    this.unfinished.clear();
    this.applyAll(patches);
    this.restore(kept);
  }

  /* What the reader did to the view outlives a rebuilding. */
  remember() {
    const panels = [...this.page.touched].map((id) => [id, this.page.elements.get(id)?.open]);
    return { panels, focus: this.page.idOf(document.activeElement) };
  }

  restore({ panels, focus }) {
    for (const [id, open] of panels) {
      const panel = this.page.elements.get(id);
      if (panel && open !== undefined) panel.open = open;
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

  settle() {
    this.complete();
    const question = this.main.querySelector(":scope > .qm-ask");
    if (question !== this.question) {
      this.unseen.delete(this.question);
      this.question = question;
      if (question) this.sight.observe(question);
      this.look();
    }
    for (const panel of this.main.querySelectorAll(".qm-is-live + .qm-think")) {
      if (this.following.get(panel) !== false) panel.scrollTop = panel.scrollHeight;
    }
    if (this.running) this.follower.follow();
  }

  /* Of the head and of the bar. */
  both(name) {
    return [this.head, this.bar].map((part) => part.querySelector(`.qm-${name}`));
  }

  sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        this.unseen.delete(target);
        this.place = this.follower.outermost.scrollTop;
      } else this.unseen.add(target);
    }
    this.look();
  }

  /* What must be in reach and is out of sight has its line in the bar: that of one view, where the
     notebook has drawn the answer anew and not yet ended the view before. */
  look() {
    const asks = this.unseen.has(this.question);
    const own = viewsOf(this.model);
    const one = own.find((view) => view.turn.isConnected) ?? own.at(-1);
    if (this !== one || !this.running || !(asks || this.unseen.has(this.head))) {
      return void this.bar.remove();
    }
    for (const other of own) if (other !== this) other.bar.remove();
    if (this.turn.isConnected) this.scroller = this.follower.outermost;
    const { key, text } = asks ? questionOf(this.model) : {};
    if (key && this.announced !== key) {
      this.announced = key;
      const detail = { id: key, text, show: () => this.show(), element: this.question };
      this.isTaken = tell("question", detail);
    }
    this.bar.querySelector(".qm-tell").textContent = this.isTaken ? "" : (text ?? "");
    const dock = dockOf(this.scroller);
    if (this.bar.parentElement !== dock) dock.append(this.bar);
  }

  /* By way of where it was seen last: Lab may have taken a far cell out of its place. */
  show() {
    this.scroller.scrollTop = this.place ?? this.scroller.scrollTop;
    const block = this.question ? "center" : "start";
    setTimeout(() => (this.question ?? this.turn).scrollIntoView({ block }), 200);
  }

  scrolled(panel) {
    if (!panel.classList?.contains("qm-think")) return;
    const left = panel.scrollHeight - panel.scrollTop - panel.clientHeight;
    this.following.set(panel, left < END);
    panel.classList.toggle("qm-is-scrolled", panel.scrollTop > 2);
  }

  /* An element that is new or has grown. */
  welcome(element) {
    const blocks = element.matches(".qm-code") ? [element] : element.querySelectorAll(".qm-code");
    for (const block of blocks) {
      const bar = block.querySelector(":scope > .qm-bar");
      if (!bar.querySelector("button")) bar.insertAdjacentHTML("beforeend", CODE_BUTTONS);
    }
    const isText = element.parentElement?.matches(".qm-answer, .qm-think");
    if (blocks.length || (isText && TEX.test(element.textContent))) this.unfinished.add(element);
  }

  /* Another block follows, or its text or step has ended. */
  isComplete(block) {
    if (!this.running || block.nextElementSibling) return true;
    const step = block.closest(".qm-step");
    if (step) return !step.firstElementChild.matches(".qm-is-live");
    return block.parentElement !== this.main.lastElementChild;
  }

  complete() {
    for (const block of [...this.unfinished]) {
      if (block.isConnected && !this.isComplete(block)) continue;
      this.unfinished.delete(block);
      if (!block.isConnected) continue;
      const codes = block.matches(".qm-code") ? [block] : block.querySelectorAll(".qm-code");
      for (const code of codes) if (this.mayFold(code)) foldCode(code);
      const isText = block.parentElement.matches(".qm-answer, .qm-think");
      if (isText && TEX.test(block.textContent)) this.formulas.observe(block);
    }
  }

  /* What is perhaps read now stays as it is. */
  mayFold(code) {
    const { top, bottom } = code.getBoundingClientRect();
    const isSeen = top < innerHeight && bottom > 0;
    return !isHeld(code) && !(isSeen && this.running && !this.follower.on);
  }

  /* Of a block in sight: to measure it, the typesetter lets the whole page be laid out. */
  async typeset(block) {
    this.formulas.unobserve(block);
    this.manager ??= managerOf(this.model);
    const typesetter = (await this.manager)?.rendermime?.latexTypesetter;
    if (!typesetter?.typeset || !block.isConnected) return;
    this.sources.set(block, block.innerHTML);
    block.classList.add("qm-is-typeset");
    typesetter.typeset(block);
  }

  clicked({ target }) {
    const at = (selector) => target.closest?.(selector);
    const panel = at("summary")?.parentElement;
    const id = panel && this.page.idOf(panel);
    if (id) this.page.touched.add(id);
    const [copy, choice, wrap] = [".qm-copy", ".qm-choice", ".qm-wrap"].map(at);
    if (copy) this.copy(copy);
    if (choice) choose(this.model, choice);
    const wrapped = wrap?.closest(".qm-code").classList.toggle("qm-is-wrapped");
    wrap?.setAttribute("aria-pressed", wrapped);
  }

  async copy(button) {
    const parts = button.closest(".qm-code")?.querySelectorAll("pre");
    const code = parts && [...parts].map((pre) => pre.textContent).join("");
    const texts = [...this.main.querySelectorAll(".qm-answer")].map((text) => text.innerText);
    try {
      await navigator.clipboard.writeText(code ?? texts.join("\n\n"));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  askToStop() {
    const stops = this.both("stop");
    if (!this.running || stops[0].hidden || stops[0].disabled) return;
    for (const stop of stops) {
      stop.disabled = true;
      stop.textContent = "Stopping…";
    }
    this.model.send({ op: "stop" });
  }

  setClock({ seconds, running, stoppable }) {
    this.began = performance.now() - seconds * 1000;
    this.running = running;
    this.turn.classList.toggle("qm-is-running", running);
    this.run.hidden = !running;
    for (const stop of this.both("stop")) stop.hidden = !stoppable;
    clearInterval(this.ticking);
    this.look();
    if (!running) return;
    const tick = () => {
      const isLost = ++this.quiet > QUIET && this.isBlind;
      const time = clock((performance.now() - this.began) / 1000);
      for (const shown of this.both("clock")) shown.textContent = isLost ? LOST : time;
    };
    tick();
    this.ticking = setInterval(tick, 500);
  }

  finish() {
    this.setClock({ seconds: 0, running: false, stoppable: false });
    this.settle();
    setTimeout(() => this.leave(), 2 * GRACE);
  }

  /* The kernel is gone: nothing goes on, and what came stays, marked. */
  lose() {
    if (!this.main.hasChildNodes()) this.main.append(parse(ended.get(this.model.get("mid"))));
    this.setClock({ seconds: 0, running: false, stoppable: false });
    for (const live of this.main.querySelectorAll(".qm-ask, .qm-head-flat.qm-is-live")) live.remove();
    for (const live of this.main.querySelectorAll(".qm-is-live")) live.classList.remove("qm-is-live");
    const note = parse(noteOf("The kernel ended; this is what came.")).firstElementChild;
    if (this.main.querySelector(".qm-answer")) note.insertAdjacentHTML("beforeend", COPY);
    this.main.append(note);
    this.settle();
  }

  /* What has come so far, as an output that needs no widget. */
  partial() {
    const whole = this.main.cloneNode(true);
    const typeset = [...this.main.querySelectorAll(".qm-is-typeset")];
    whole.querySelectorAll(".qm-is-typeset").forEach((block, place) => {
      block.innerHTML = this.sources.get(typeset[place]) ?? block.innerHTML;
    });
    for (const button of whole.querySelectorAll("button")) button.remove();
    const [style] = this.css.split("/* === live only === */");
    const turn = make("div", `qm-turn qm-saved ${this.model.get("aid")}`);
    turn.append(...whole.childNodes);
    if (this.running) turn.append(parse(noteOf("Saved while it was written: the rest is not here.")));
    const html = turn.outerHTML.replace(/\n(?=\s*\n)/g, "&#10;"); // as static.py saves it
    return {
      "text/html": `<div><style>${style.replace(/\s+/g, " ")}</style>${html}</div>`,
      "text/plain": this.main.innerText || this.main.textContent,
    };
  }

  /* `adopt` puts the saved form in this output's place; where it cannot, this does. */
  async leave() {
    if (!this.turn.isConnected) return;
    const html = (await resultOf(this.model)).bundle["text/html"];
    this.el.replaceChildren(...(html ? [parse(html)] : []));
  }
}

export default {
  initialize({ model }) {
    return adopt(model);
  },
  render({ model, el, css = "" }) {
    const view = new View(model, el, css);
    return () => view.close();
  },
};
