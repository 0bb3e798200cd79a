// Bundles the page with the packages of one version of Grafana: node harness/build.mjs [folder that has node_modules].
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const harness = dirname(fileURLToPath(import.meta.url));
const packages = resolve(process.argv[2] ?? `${harness}/..`);

// What the harness imports is that of the chosen version, not that of the nearest node_modules.
const chosenVersion = {
  name: 'chosen-version',
  setup({ onResolve, resolve: resolveImport }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer, kind, pluginData }) =>
      pluginData === 'chosen' || dirname(importer) !== harness
        ? undefined
        : resolveImport(path, { kind, resolveDir: packages, pluginData: 'chosen' }),
    );
  },
};

await build({
  entryPoints: [`${harness}/harness.tsx`],
  outfile: `${harness}/build/harness.js`,
  absWorkingDir: packages,
  bundle: true,
  // 11.6 takes defaults of CommonJS modules as webpack does, which esbuild does not in an .mjs file.
  alias: { 'react-use/lib': 'react-use/esm', 'rc-picker/lib': 'rc-picker/es' },
  jsx: 'automatic',
  format: 'iife',
  target: 'es2022',
  // React says what is wrong in development alone.
  define: { global: 'window', 'process.env.NODE_ENV': '"development"' },
  loader: {
    '.svg': 'dataurl',
    '.png': 'dataurl',
    '.woff': 'dataurl',
    '.woff2': 'dataurl',
    '.ttf': 'dataurl',
  },
  plugins: [chosenVersion],
  logLevel: 'error',
});
