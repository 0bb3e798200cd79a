// Compiles the plugin against the types of other versions of Grafana: node harness/versions/check-types.mjs 11.6 ...
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const versions = dirname(fileURLToPath(import.meta.url));
const plugin = resolve(versions, '../..');
const build = resolve(plugin, 'harness/build');

const config = (version) => {
  const modules = `${versions}/${version}/node_modules`;
  return {
    extends: `${plugin}/tsconfig.json`,
    compilerOptions: {
      typeRoots: [`${plugin}/node_modules/@types`],
      paths: {
        '@grafana/*': [`${modules}/@grafana/*`],
        react: [`${modules}/@types/react`],
        'react/jsx-runtime': [`${modules}/@types/react/jsx-runtime.d.ts`],
        'react-dom': [`${modules}/@types/react-dom`],
        'react-router': [`${modules}/react-router-dom-v5-compat`],
        rxjs: [`${modules}/rxjs`],
      },
    },
    include: [`${plugin}/src`],
    exclude: [`${plugin}/src/**/*.test.ts`, `${plugin}/src/**/*.test.tsx`, `${plugin}/src/testing`],
  };
};

mkdirSync(build, { recursive: true });
for (const version of process.argv.slice(2)) {
  const file = `${build}/tsconfig.${version}.json`;
  writeFileSync(file, JSON.stringify(config(version)));
  execFileSync('npx', ['tsc', '--noEmit', '-p', file], { cwd: plugin, stdio: 'inherit' });
  process.stdout.write(`The plugin fits the types of Grafana ${version}\n`);
}
