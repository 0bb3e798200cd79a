/** Which data source the app's pages read from, and the client for it. */
import { getDataSourceSrv } from '@grafana/runtime';
import { type ReactNode, createContext, useContext, useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { Client } from '../../api';
import { DATASOURCE_ID } from '../../ids';

export interface Source {
  uid: string;
  name: string;
  url: string;
  version: string;
}

export interface Connection {
  /** Every data source of the plugin in this organisation. */
  sources: Source[];
  /** The chosen one; undefined where there is none. */
  source: Source | undefined;
  client: Client | undefined;
  choose: (uid: string) => void;
}

/** The parameter of a page's address that names the data source. */
const SOURCE_PARAMETER = 'source';

const Context = createContext<Connection | undefined>(undefined);

export function ConnectionProvider({ children }: { children: ReactNode }) {
  const [search, setSearch] = useSearchParams();
  const uid = search.get(SOURCE_PARAMETER);
  const sources = useMemo(() => listSources(), []);
  const source = sources.find((each) => each.uid === uid) ?? sources[0];
  const client = useMemo(() => (source ? new Client(source.url) : undefined), [source]);
  const choose = (chosen: string) =>
    setSearch((before) => {
      const after = new URLSearchParams(before);
      after.set(SOURCE_PARAMETER, chosen);
      return after;
    });
  return <Context.Provider value={{ sources, source, client, choose }}>{children}</Context.Provider>;
}

/** The data sources and the client; only inside of the app. */
export function useConnection(): Connection {
  const connection = useContext(Context);
  if (!connection) {
    throw new Error('useConnection is used outside of the app');
  }
  return connection;
}

function listSources(): Source[] {
  return getDataSourceSrv()
    .getList({ pluginId: DATASOURCE_ID })
    .map(({ uid, name, url, meta }) => ({ uid, name, url: url ?? '', version: meta.info.version }));
}
