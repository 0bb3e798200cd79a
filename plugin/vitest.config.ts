import { defineConfig } from 'vitest/config';

export default defineConfig({
  esbuild: { jsx: 'automatic' },
  // As Grafana does: its react-router is version 6 with the parts for browsers.
  resolve: { alias: { 'react-router': 'react-router-dom-v5-compat' } },
  test: {
    include: ['src/**/*.test.{ts,tsx}'],
    environment: 'jsdom',
    setupFiles: ['src/testing/browser.ts'],
    css: false,
    server: { deps: { inline: [/@grafana/, /@rc-component/] } },
  },
});
