import type { AnnotationQuery, QueryEditorProps } from '@grafana/data';
import { Alert, InlineField, Select } from '@grafana/ui';
import { suiting } from '../catalogue';
import type { DataSource } from '../DataSource';
import type { Options } from '../options';
import { DEFAULT_ANNOTATION, type Query, completed } from '../query';
import { Parameters } from './Parameters';
import { useCatalogue } from './useCatalogue';

type Props = QueryEditorProps<DataSource, Query, Options> & {
  annotation?: AnnotationQuery<Query>;
  onAnnotationChange?: (annotation: AnnotationQuery<Query>) => void;
};

export function AnnotationEditor({ datasource, annotation, onAnnotationChange, range }: Props) {
  const { catalogue, failure } = useCatalogue(datasource);
  const query = completed({ ...DEFAULT_ANNOTATION, refId: 'Anno', ...annotation?.target });
  const change = (changes: Partial<Query>) => {
    if (annotation) {
      onAnnotationChange?.({ ...annotation, target: { ...query, ...changes } });
    }
  };
  const sources = catalogue?.annotations ?? [];
  const source = sources.find(({ name }) => name === query.name);
  return (
    <>
      {failure && <Alert severity="error" title={failure.message} />}
      <InlineField label="Annotations" labelWidth={20} htmlFor="source">
        <Select
          inputId="source"
          width={40}
          isLoading={!catalogue && !failure}
          options={sources.map(({ name, title }) => ({ value: name, label: title }))}
          value={source?.name ?? null}
          onChange={({ value }) => {
            const chosen = sources.find(({ name }) => name === value);
            if (chosen) {
              change({ name: chosen.name, params: suiting(query.params, chosen.parameters) });
            }
          }}
        />
      </InlineField>
      {catalogue && source && (
        <Parameters
          catalogue={catalogue}
          parameters={source.parameters}
          params={query.params}
          range={range}
          datasource={datasource}
          onChange={(params) => change({ params })}
        />
      )}
    </>
  );
}
