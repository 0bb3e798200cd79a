import type { ComponentType } from 'react';
import { useConnection } from '../state/connection';
import { NoSource } from './NoSource';

/** A page that needs a data source, or what to do where there is none. */
export function withSource(Body: ComponentType): ComponentType {
  return function WithSource() {
    const { source } = useConnection();
    return source ? <Body /> : <NoSource />;
  };
}
