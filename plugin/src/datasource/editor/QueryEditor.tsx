import type { QueryEditorProps, SelectableValue } from '@grafana/data';
import { Alert, InlineField, InlineFieldRow, RadioButtonGroup, Select } from '@grafana/ui';
import { type Catalogue, sourceOf, suiting } from '../catalogue';
import type { DataSource } from '../DataSource';
import type { Options } from '../options';
import { type Kind, type Query, completed } from '../query';
import { Parameters } from './Parameters';
import { useCatalogue } from './useCatalogue';

type Props = QueryEditorProps<DataSource, Query, Options>;

const FORMATS: Array<SelectableValue<Query['format']>> = [
  { label: 'Time series', value: 'time_series' },
  { label: 'Table', value: 'table' },
];

export function QueryEditor({ datasource, query, range, onChange, onRunQuery }: Props) {
  const { catalogue, failure } = useCatalogue(datasource);
  const { kind, name, format, params } = completed(query);
  const change = (changes: Partial<Query>) => {
    onChange({ ...completed(query), ...changes });
    onRunQuery();
  };
  const options = catalogue ? optionsOf(catalogue) : [];
  const chosen = options.flatMap((group) => group.options).find(({ value }) => value === keyOf(kind, name));
  return (
    <>
      {failure && <Alert severity="error" title={failure.message} />}
      <InlineFieldRow>
        <InlineField label="Data" labelWidth={20} htmlFor="source">
          <Select
            inputId="source"
            width={40}
            isLoading={!catalogue && !failure}
            options={options}
            value={chosen ?? null}
            onChange={({ value }) => catalogue && value && change(sourceChange(catalogue, value, params))}
          />
        </InlineField>
        {kind === 'series' && (
          <InlineField label="Format">
            <RadioButtonGroup
              options={FORMATS}
              value={format}
              onChange={(value) => change({ format: value })}
            />
          </InlineField>
        )}
      </InlineFieldRow>
      {catalogue && chosen && (
        <Parameters
          catalogue={catalogue}
          parameters={sourceOf(catalogue, { kind, name }).parameters}
          params={params}
          range={range}
          datasource={datasource}
          onChange={(changed) => change({ params: changed })}
        />
      )}
    </>
  );
}

const keyOf = (kind: Kind, name: string) => `${kind}/${name}`;

/** Another source, with those of the parameters that it takes, too: the backend refuses all others. */
function sourceChange(catalogue: Catalogue, key: string, params: Query['params']): Partial<Query> {
  const [kind, name] = key.split('/') as [Kind, string];
  return { kind, name, params: suiting(params, sourceOf(catalogue, { kind, name }).parameters) };
}

function optionsOf({ metrics, tables }: Catalogue) {
  const option = (kind: Kind) => (each: { name: string; title: string; summary: string }) => ({
    value: keyOf(kind, each.name),
    label: each.title,
    description: each.summary,
  });
  return [
    { label: 'Series', options: metrics.map(option('series')) },
    { label: 'Tables', options: tables.map(option('table')) },
  ];
}
