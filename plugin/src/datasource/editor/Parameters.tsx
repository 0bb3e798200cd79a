import type { TimeRange } from '@grafana/data';
import type { Parameter } from '../../api';
import { type Catalogue, menuFor } from '../catalogue';
import type { DataSource } from '../DataSource';
import { TIME_PARAMETERS } from '../parameters';
import { ParameterField } from './ParameterField';

interface Props {
  catalogue: Catalogue;
  parameters: readonly Parameter[];
  params: Record<string, string[]>;
  range?: TimeRange;
  datasource: DataSource;
  onChange: (params: Record<string, string[]>) => void;
}

/** A field for each parameter that the board does not set. */
export function Parameters({ catalogue, parameters, params, range, datasource, onChange }: Props) {
  return (
    <>
      {parameters
        .filter(({ name }) => !TIME_PARAMETERS.has(name))
        .map((parameter) => (
          <ParameterField
            key={parameter.name}
            parameter={parameter}
            menu={menuFor(catalogue, parameter.name)?.name}
            params={params}
            range={range}
            datasource={datasource}
            onChange={(values) => onChange({ ...params, [parameter.name]: values })}
          />
        ))}
    </>
  );
}
