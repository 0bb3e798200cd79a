import {
  type DataSourcePluginOptionsEditorProps,
  onUpdateDatasourceJsonDataOption,
  onUpdateDatasourceSecureJsonDataOption,
  updateDatasourcePluginResetOption,
} from '@grafana/data';
import { Field, Input, SecretInput } from '@grafana/ui';
import type { Options, SecureOptions } from '../options';
import { addressProblem } from './address';

type Props = DataSourcePluginOptionsEditorProps<Options, SecureOptions>;

export function ConfigEditor(props: Props) {
  const { jsonData, secureJsonFields, secureJsonData, readOnly } = props.options;
  const problem = addressProblem(jsonData.backend);
  return (
    <>
      <Field
        label="Backend"
        description="Address of modelplane's backend as Grafana's server sees it"
        invalid={problem !== undefined}
        error={problem}
        htmlFor="backend"
      >
        <Input
          id="backend"
          width={60}
          disabled={readOnly}
          placeholder="http://backend:8090"
          value={jsonData.backend ?? ''}
          onChange={onUpdateDatasourceJsonDataOption(props, 'backend')}
        />
      </Field>
      <Field
        label="Token"
        description="Of a reader, of a tenant, or of the role grafana. It stays in Grafana's server."
        htmlFor="token"
      >
        <SecretInput
          id="token"
          width={60}
          disabled={readOnly}
          isConfigured={Boolean(secureJsonFields?.token)}
          value={secureJsonData?.token ?? ''}
          onChange={onUpdateDatasourceSecureJsonDataOption(props, 'token')}
          onReset={() => updateDatasourcePluginResetOption(props, 'token')}
        />
      </Field>
    </>
  );
}
