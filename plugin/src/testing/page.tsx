/** A page of the app at an address, in front of a backend that answers what a test says. */
import { render, screen } from '@testing-library/react';
import type { ComponentType } from 'react';
import { MemoryRouter, Route, Routes, useLocation } from 'react-router';
import { ConnectionProvider } from '../app/state/connection';
import type { FakeBackend, Request } from './backend';

export const SOURCE = {
  uid: 'modelplane',
  name: 'Modelplane',
  url: '/proxy',
  meta: { info: { version: '1' } },
};

export const sources = { getList: () => [SOURCE] };

function Address() {
  const { pathname, search } = useLocation();
  return <output data-testid="address">{pathname + search}</output>;
}

/** The address that the page has come to. */
export const currentAddress = () => screen.getByTestId('address').textContent;

export function showPage(Page: ComponentType, at: string, path = '*') {
  return render(
    <MemoryRouter initialEntries={[at]}>
      <ConnectionProvider>
        <Routes>
          <Route path={path} element={<Page />} />
        </Routes>
      </ConnectionProvider>
      <Address />
    </MemoryRouter>,
  );
}

/** The parameters of each request for a route, in the order of the requests. */
export function asked(backend: FakeBackend, route: string): URLSearchParams[] {
  return backend.requests
    .filter(({ url }: Request) => pathOf(url) === `/proxy/read/${route}`)
    .map(({ url }) => new URL(url, 'http://here').searchParams);
}

export const pathOf = (url: string) => new URL(url, 'http://here').pathname;
