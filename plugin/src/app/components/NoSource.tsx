import { EmptyState, LinkButton } from '@grafana/ui';
import { DATASOURCE_ID } from '../../ids';

/** What stands on every page where no data source of the plugin is set up. */
export function NoSource() {
  return (
    <EmptyState
      variant="call-to-action"
      message="There is no Modelplane data source in this organisation"
      button={
        <LinkButton icon="plus" href={`/connections/datasources/${DATASOURCE_ID}`}>
          Add a data source
        </LinkButton>
      }
    >
      It needs the address of the backend and a token. An administrator of Grafana can add it.
    </EmptyState>
  );
}
