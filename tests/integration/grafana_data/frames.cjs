// Ask for what a panel asks for, and print the frames that Grafana makes of each answer.
// Usage, in the folder of node_modules: node frames.cjs <package> <url> < bodies.json
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const load = createRequire(join(process.cwd(), "package.json"));
const { JSDOM } = load("jsdom");
const [name, url] = process.argv.slice(2);

// The package expects a browser.
const { window } = new JSDOM("", { url: "http://localhost" });
window.matchMedia = () => ({ matches: false, addListener() {}, removeListener() {} });
for (const key of ["document", "localStorage", "navigator"]) {
  Object.defineProperty(globalThis, key, { value: window[key], configurable: true });
}
globalThis.window = window;

const { toDataFrame, getFieldDisplayName } = load(name);

function describe(frame, frames) {
  return {
    name: frame.name,
    refId: frame.refId,
    length: frame.length,
    notices: frame.meta?.notices ?? [],
    fields: frame.fields.map((field) => ({
      name: field.name,
      type: field.type,
      displayName: getFieldDisplayName(field, frame, frames),
      unit: field.config.unit ?? null,
      labels: field.labels ?? {},
      values: Array.from(field.values, (value) => value),
    })),
  };
}

async function ask(body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const frames = (await response.json()).map(toDataFrame);
  return frames.map((frame) => describe(frame, frames));
}

Promise.all(JSON.parse(readFileSync(0, "utf8")).map(ask)).then((answers) => {
  process.stdout.write(JSON.stringify(answers));
});
