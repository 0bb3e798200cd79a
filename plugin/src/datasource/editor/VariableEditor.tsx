import type { QueryEditorProps } from '@grafana/data';
import { Alert, InlineField, Select } from '@grafana/ui';
import type { DataSource } from '../DataSource';
import type { Options } from '../options';
import { type MenuQuery, type Query, completedMenu } from '../query';
import { Parameters } from './Parameters';
import { useCatalogue } from './useCatalogue';

type Props = QueryEditorProps<DataSource, Query, Options, MenuQuery>;

export function VariableEditor({ datasource, query, range, onChange }: Props) {
  const { catalogue, failure } = useCatalogue(datasource);
  const { menu, params } = completedMenu(query);
  const menus = catalogue?.menus ?? [];
  const chosen = menus.find(({ name }) => name === menu);
  const change = (changes: Partial<MenuQuery>) => onChange({ ...query, menu, params, ...changes });
  return (
    <>
      {failure && <Alert severity="error" title={failure.message} />}
      <InlineField label="Values" labelWidth={20} htmlFor="menu">
        <Select
          inputId="menu"
          width={40}
          isLoading={!catalogue && !failure}
          options={menus.map(({ name, title }) => ({ value: name, label: title }))}
          value={chosen?.name ?? null}
          onChange={({ value }) => value && change({ menu: value, params: {} })}
        />
      </InlineField>
      {catalogue && chosen && (
        <Parameters
          catalogue={catalogue}
          parameters={chosen.parameters}
          params={params}
          range={range}
          datasource={datasource}
          onChange={(changed) => change({ params: changed })}
        />
      )}
    </>
  );
}
