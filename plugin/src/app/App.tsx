import { PluginPage } from '@grafana/runtime';
import { Navigate, Route, Routes } from 'react-router';
import { PAGES, type Page } from './pages';
import { ConnectionProvider } from './state/connection';

export function App() {
  return (
    <ConnectionProvider>
      <Routes>
        {PAGES.map((page) => (
          <Route key={page.path} path={page.path} element={<Shown page={page} />} />
        ))}
        <Route path="*" element={<Navigate to={PAGES[0].path} replace />} />
      </Routes>
    </ConnectionProvider>
  );
}

function Shown({ page: { title, subTitle, component: Body } }: { page: Page }) {
  return (
    <PluginPage pageNav={{ text: title, subTitle }}>
      <Body />
    </PluginPage>
  );
}
