/* Two commands (stop the answer, a new prompt cell), and toasts for questions out of sight.

   The view of an answer tells of a question by an event on `document`, `qwen-magic:question`, with
   {id, text, show, element}: who cancels it leads the reader there. `qwen-magic:answered`, {id}:
   it is settled. */

const ID = "qwen_magic:commands";
const STOP = "qwen-magic:stop";
const NEW_PROMPT = "qwen-magic:new-prompt";
const TWICE = 500; // ms between two presses

/* The Stops of the active cell's answers, else of the first cell in which some are being written. A
   cell out of sight is not in the page, but its node is there. */
function stopButtons(notebook) {
  const cells = [notebook?.activeCell, ...(notebook?.widgets ?? [])];
  const running = ".qm-is-running .qm-stop:not([disabled], [hidden])";
  const found = cells.map((cell) => [...(cell?.node.querySelectorAll(running) ?? [])]);
  return found.find((buttons) => buttons.length > 0) ?? [];
}

async function insertPrompt(notebook) {
  const index = notebook.activeCellIndex + 1;
  const cell = { cell_type: "code", source: "%%qwen\n", metadata: { trusted: true } };
  notebook.model.sharedModel.insertCell(index, cell);
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  const made = notebook.activeCell;
  await made.ready; // it has no editor before
  await new Promise(requestAnimationFrame); // the palette has given the focus back
  made.editor.setCursorPosition({ line: 1, column: 0 });
  notebook.mode = "edit";
}

/* Call `act` when Escape is pressed twice within `owner()`, which hears of each press too. */
function onEscapeTwice(owner, act) {
  let last = -Infinity;
  const listen = ({ key, repeat, target, timeStamp }) => {
    const isHere = target === document.body || owner()?.contains(target);
    if (key !== "Escape" || !isHere) last = -Infinity;
    else if (!repeat) {
      const isSecond = timeStamp - last < TWICE;
      last = isSecond ? -Infinity : timeStamp;
      if (isSecond) act();
    }
  };
  document.addEventListener("keydown", listen, true);
}

/* Toasts: one for each question that waits out of sight. */
function announce(Notification, show) {
  const toasts = new Map(); // id of a question -> id of its toast
  const dismiss = (id) => {
    if (toasts.has(id)) Notification.dismiss(toasts.get(id));
    toasts.delete(id);
  };
  document.addEventListener("qwen-magic:question", (event) => {
    const { id, text } = event.detail;
    dismiss(id);
    const actions = [{ label: "Show", callback: () => show(event.detail) }];
    toasts.set(id, Notification.warning(text, { autoClose: false, actions }));
    event.preventDefault();
  });
  document.addEventListener("qwen-magic:answered", ({ detail }) => dismiss(detail.id));
}

export default async function commands(take) {
  const [{ INotebookTracker }, { ICommandPalette, Notification }, { ISettingRegistry }] =
    await Promise.all(
      ["@jupyterlab/notebook", "@jupyterlab/apputils", "@jupyterlab/settingregistry"].map(take),
    );

  function activate(app, tracker, palette, settings) {
    const notebook = () => tracker.currentWidget?.content;
    const stop = () => stopButtons(notebook()).forEach((button) => button.click());

    /* To a question, in whichever notebook it is. */
    async function show({ element, show: reveal }) {
      const holds = (cell) => cell.node.contains(element);
      const panel = tracker.find(({ content }) => content.widgets.some(holds));
      if (panel) {
        const index = panel.content.widgets.findIndex(holds);
        app.shell.activateById(panel.id);
        panel.content.activeCellIndex = index;
        await panel.content.scrollToItem(index, "center");
      }
      reveal?.();
    }

    app.commands.addCommand(STOP, {
      label: "Stop the Answer",
      caption: "Escape twice does it too",
      isEnabled: () => stopButtons(notebook()).length > 0,
      execute: stop,
    });
    app.commands.addCommand(NEW_PROMPT, {
      label: "New Prompt Cell Below",
      isEnabled: () => Boolean(notebook()?.model && !notebook().model.readOnly),
      execute: () => insertPrompt(notebook()),
    });
    for (const command of [STOP, NEW_PROMPT]) palette?.addItem({ command, category: "Qwen" });

    let escapeStops = true;
    const read = ({ composite }) => (escapeStops = composite.escapeStops !== false);
    const follow = (own) => (read(own), own.changed.connect(read));
    settings?.load(ID).then(follow).catch(() => {}); // without its schema: the default
    onEscapeTwice(() => tracker.currentWidget?.node, () => escapeStops && stop());
    announce(Notification, show);
  }

  return {
    id: ID,
    description: "Stops an answer, makes a prompt cell, tells of a question out of sight.",
    autoStart: true,
    requires: [INotebookTracker],
    optional: [ICommandPalette, ISettingRegistry],
    activate,
  };
}
