// Two AMD modules, as Grafana loads them: the app and the data source nested in it.
import { readFileSync, readdirSync } from 'node:fs';
import nodeResolve from '@rollup/plugin-node-resolve';
import esbuild from 'rollup-plugin-esbuild';

// What Grafana has and hands to a plugin.
const GRAFANA_MODULES = [
  /^@grafana\/(data|runtime|ui)$/,
  /^react(-dom)?$/,
  'react/jsx-runtime',
  'react-router',
  'rxjs',
  'lodash',
  '@emotion/css',
];

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));

/** Writes the files that stand beside a module; %VERSION% in them is that of package.json. */
const files = (sources) => ({
  name: 'files',
  generateBundle() {
    for (const [fileName, source] of Object.entries(sources)) {
      const text = readFileSync(source, 'utf8');
      this.emitFile({ type: 'asset', fileName, source: text.replaceAll('%VERSION%', version) });
    }
  },
});

const pictures = Object.fromEntries(readdirSync('src/img').map((name) => [`img/${name}`, `src/img/${name}`]));

const moduleOf = (input, dir, sources) => ({
  input,
  external: GRAFANA_MODULES,
  output: { dir, entryFileNames: 'module.js', format: 'amd', exports: 'named', inlineDynamicImports: true },
  plugins: [
    nodeResolve({ extensions: ['.ts', '.tsx', '.js', '.mjs'] }),
    esbuild({ jsx: 'automatic', minify: true, target: 'es2022' }),
    files(sources),
  ],
});

export default [
  moduleOf('src/app/module.ts', 'dist', {
    'plugin.json': 'src/plugin.json',
    'README.md': 'src/README.md',
    LICENSE: '../LICENSE',
    ...pictures,
  }),
  moduleOf('src/datasource/module.ts', 'dist/datasource', {
    'plugin.json': 'src/datasource/plugin.json',
    ...pictures,
  }),
];
