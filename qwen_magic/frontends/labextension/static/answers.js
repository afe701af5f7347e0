/* Saved answers, drawn by the notebook's own renderer of HTML, cost a page little.

   Each brings its style, and one more sheet makes a browser look at every answer on the page again:
   the first stands for all that are the same. Formulas are set when their answer comes into sight,
   since the browser lays out all that holds them to measure them. And where the notebook leaves
   cells out of sight undrawn, an answer is not laid out when its cell's editor is measured. */

const HTML = "text/html";
const BEGINNING = /^(<div class="qm-turn qm-saved[^>]*>)<style>([^<]*)<\/style>/;
const UNSEEN = "qm-is-unseen"; // the class of an output that nobody has seen
const UNDRAWN = `.jp-content-visibility-mode .${UNSEEN} .qm-saved {
  content-visibility: auto; contain-intrinsic-size: auto 400px;
}`;

/* The styles that the page has. */
class Sheets {
  constructor() {
    this.known = new Set();
    this.add(UNDRAWN);
  }

  add(css) {
    if (this.known.has(css)) return;
    this.known.add(css);
    document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  }

  /* The model of an output, its style here instead. What is not trusted keeps its own, which the
     notebook takes away. */
  takeFrom(model) {
    const html = String(model.data[HTML]);
    const [whole, opening, css] = (model.trusted && html.match(BEGINNING)) || [];
    if (!whole) return model;
    this.add(css);
    const data = { ...model.data, [HTML]: opening + html.slice(whole.length) };
    return Object.create(model, { data: { value: data } });
  }
}

/* Sets the formulas of what is in sight, or comes into it. */
class Typesetting {
  constructor() {
    this.waiting = new WeakMap(); // an unseen output -> its typesetter
    this.sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.set(target);
    }, { scrollMargin: "50%" });
  }

  set(node) {
    this.sight.unobserve(node);
    node.classList.remove(UNSEEN);
    this.waiting.get(node).typeset(node);
  }

  /* The same typesetter, in no hurry with answers. A notebook asks it when an output is attached. */
  patient(typesetter) {
    const typeset = (node) => {
      if (!node.querySelector(".qm-saved")) return typesetter.typeset(node);
      this.waiting.set(node, typesetter);
      if (isInSight(node)) this.set(node);
      else this.sight.observe(node);
    };
    return typesetter && { typeset };
  }
}

/* Asked so that what the notebook left out of its layout stays so. */
function isInSight(node) {
  if (node.checkVisibility?.({ contentVisibilityAuto: true }) === false) return false;
  const { top, bottom } = node.getBoundingClientRect();
  return top < innerHeight && bottom > 0;
}

export default async function answers(take) {
  const { IRenderMimeRegistry } = await take("@jupyterlab/rendermime");

  function activate(app, rendermime) {
    const usual = rendermime.getFactory(HTML);
    const sheets = new Sheets();
    const typesetting = new Typesetting();
    const createRenderer = (options) => {
      const latexTypesetter = typesetting.patient(options.latexTypesetter);
      const renderer = usual.createRenderer({ ...options, latexTypesetter });
      if (latexTypesetter) renderer.node.classList.add(UNSEEN); // until it is asked
      const render = renderer.renderModel.bind(renderer);
      renderer.renderModel = (model, ...rest) => render(sheets.takeFrom(model), ...rest);
      return renderer;
    };
    rendermime.addFactory({ ...usual, createRenderer });
  }

  return {
    id: "qwen_magic:answers",
    description: "Lets saved answers cost a page little.",
    autoStart: true,
    requires: [IRenderMimeRegistry],
    activate,
  };
}
