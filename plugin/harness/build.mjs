// Bundles the page with the packages of one version of Grafana: node harness/build.mjs [folder of node_modules].
import { resolve } from 'node:path';
import { build } from 'esbuild';

const modules = resolve(process.argv[2] ?? 'node_modules');
const runtimeComponents = `${modules}/@grafana/runtime/dist/esm/components`;

// The setters that Grafana itself uses are no part of the package's interface.
const setters = {
  name: 'setters',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^#runtime-components$/ }, () => ({ path: 'setters', namespace: 'setters' }));
    onLoad({ filter: /.*/, namespace: 'setters' }, () => ({
      contents: `export { setPanelRenderer } from '${runtimeComponents}/PanelRenderer.mjs';
        export { setPluginPage } from '${runtimeComponents}/PluginPage.mjs';`,
      resolveDir: modules,
    }));
  },
};

await build({
  entryPoints: ['harness/harness.tsx'],
  outfile: 'harness/build/harness.js',
  bundle: true,
  jsx: 'automatic',
  format: 'iife',
  target: 'es2022',
  define: { global: 'window', 'process.env.NODE_ENV': '"production"' },
  loader: {
    '.svg': 'dataurl',
    '.png': 'dataurl',
    '.woff': 'dataurl',
    '.woff2': 'dataurl',
    '.ttf': 'dataurl',
  },
  nodePaths: [modules],
  plugins: [setters],
  logLevel: 'error',
});
