/* A prebuilt extension of JupyterLab and Notebook 7, written by hand: no build step.

   The front end loads this file, hands over the modules that it shares (`init`) and asks for the
   plugins (`get`). Each plugin is a file beside this one. The server lets browsers keep these files
   for a year, so the address of this one ends in a hash of all of them (package.json), which
   the others are asked for with too. */

(() => {
  const NAME = "qwen_magic";
  const PLUGINS = ["prompts.js", "commands.js", "steps.js", "answers.js"];
  const here = new URL(document.currentScript.src);
  let shared = {};

  /* One module of the front end: the copy that it runs on, which is the one already loaded, else
     the newest (the rule of module federation for singletons). */
  async function take(name) {
    const byAge = (a, b) => b.localeCompare(a, undefined, { numeric: true });
    const versions = Object.keys(shared[name] ?? {}).sort(byAge);
    const version = versions.find((each) => shared[name][each].loaded) ?? versions[0];
    if (!version) throw new Error(`this front end shares no ${name}`);
    return (await shared[name][version].get())();
  }

  async function plugin(file) {
    try {
      const { default: make } = await import(new URL(file + here.search, here).href);
      return [await make(take)];
    } catch (error) {
      console.error(`${NAME}: ${file} is left out.`, error);
      return [];
    }
  }

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB[NAME] = {
    init: (scope) => void (shared = scope),
    async get() {
      const made = (await Promise.all(PLUGINS.map(plugin))).flat();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
