/**
 * A page that stands for Grafana: it loads the built modules through an AMD loader, hands them Grafana's own
 * packages and a `getBackendSrv` that asks a real backend, and draws what a panel would show.
 */
import * as emotion from '@emotion/css';
import * as data from '@grafana/data';
import * as runtime from '@grafana/runtime';
import * as ui from '@grafana/ui';
import lodash from 'lodash';
import * as React from 'react';
import * as ReactDOM from 'react-dom';
import { createRoot, type Root } from 'react-dom/client';
import * as jsx from 'react/jsx-runtime';
import * as router from 'react-router-dom-v5-compat';
import * as rxjs from 'rxjs';
import { backendSrv } from './backendSrv';
import { Drawn } from './Drawn';
import { Edited, type Editor } from './editors';
import { Panels } from './panels';

const APP_ID = 'modelplane-monitoring-app';
const SOURCE = {
  id: 1,
  uid: 'modelplane',
  name: 'Modelplane',
  type: 'modelplane-monitoring-datasource',
  url: '/api/datasources/proxy/uid/modelplane',
  jsonData: {},
  meta: { id: 'modelplane-monitoring-datasource', info: { version: '0.1.0' } },
};
const PluginPage = ({ pageNav, children }: any) => (
  <main>
    <h1>{pageNav?.text}</h1>
    <p>{pageNav?.subTitle}</p>
    {children}
  </main>
);
const MODULES: Record<string, unknown> = {
  '@emotion/css': emotion,
  '@grafana/data': data,
  // Grafana puts these two in by setters that its packages of 11.6 leave out.
  '@grafana/runtime': { ...runtime, PanelRenderer: Drawn, PluginPage },
  '@grafana/ui': ui,
  lodash,
  react: React,
  'react-dom': ReactDOM,
  'react/jsx-runtime': jsx,
  'react-router': router,
  rxjs,
};

type Plugin = {
  root?: React.ComponentType;
  DataSourceClass?: new (settings: unknown) => any;
  components?: any;
};

function load(address: string): Promise<Plugin> {
  return new Promise((resolve, reject) => {
    Object.assign(window, {
      define: (names: string[], factory: (...modules: unknown[]) => void) => {
        const exported: { plugin?: Plugin } = {};
        factory(...names.map((name) => (name === 'exports' ? exported : given(name))));
        resolve(exported.plugin ?? {});
      },
    });
    const script = document.createElement('script');
    script.src = address;
    script.onerror = () => reject(new Error(`${address} cannot be loaded`));
    document.head.append(script);
  });
}

function given(name: string): unknown {
  if (!(name in MODULES)) {
    throw new Error(`the module asks for ${name}, which Grafana does not give`);
  }
  return MODULES[name];
}

function startRuntime(user: object) {
  Object.assign(runtime.config.bootData ?? {}, { user });
  runtime.setBackendSrv(backendSrv as never);
  runtime.setTemplateSrv({
    replace: (text = '') => text,
    getVariables: () => [],
    containsTemplate: () => false,
    updateTimeRange: () => {},
  } as never);
  runtime.setDataSourceSrv({
    getList: () => [SOURCE],
    getInstanceSettings: () => SOURCE,
    get: () => Promise.resolve(SOURCE),
    registerRuntimeDataSource: () => {},
    reload: () => {},
  } as never);
}

let root: Root | undefined;

function show(mode: 'dark' | 'light', element: React.ReactElement) {
  const theme = data.createTheme({ colors: { mode } });
  document.body.style.background = theme.colors.background.canvas;
  (runtime.config as any).theme2 = theme;
  root?.unmount();
  root = createRoot(document.getElementById('root') as HTMLElement);
  root.render(
    <data.ThemeContext.Provider value={theme}>
      <ui.GlobalStyles />
      <ui.PortalContainer />
      <div style={{ padding: 24 }}>{element}</div>
    </data.ThemeContext.Provider>,
  );
}

const rangeOf = (from: number, to: number): data.TimeRange => {
  const [start, end] = [data.dateTime(from), data.dateTime(to)];
  return { from: start, to: end, raw: { from: start, to: end } };
};

type Role = 'Viewer' | 'Editor' | 'Admin';

Object.assign(window, {
  grafanaVersion: (ui as any).version,
  showPanels: () => show('dark', <Panels />),
  showPage: async (path: string, mode: 'dark' | 'light', role: Role) => {
    startRuntime({ login: 'ann', orgRole: role, isSignedIn: true });
    const { root: App } = await load('/plugin/module.js');
    const AppRoot = App as React.ComponentType;
    show(
      mode,
      <router.MemoryRouter initialEntries={[`/a/${APP_ID}/${path}`]}>
        <router.Routes>
          <router.Route path={`/a/${APP_ID}/*`} element={<AppRoot />} />
          <router.Route path="*" element={<p>A board of Grafana</p>} />
        </router.Routes>
      </router.MemoryRouter>,
    );
  },
  showEditor: async (kind: Editor, start: object, span: [number, number], mode: 'dark' | 'light') => {
    startRuntime({ login: 'ann', orgRole: 'Editor', isSignedIn: true });
    const { DataSourceClass, components } = await load('/plugin/datasource/module.js');
    const source = new (DataSourceClass as any)(SOURCE);
    Object.assign(window, { source });
    show(
      mode,
      <Edited kind={kind} source={source} components={components} start={start} range={rangeOf(...span)} />,
    );
  },
});
