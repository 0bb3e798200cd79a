import type { SelectableValue, TimeRange } from '@grafana/data';
import { getTemplateSrv } from '@grafana/runtime';
import { AsyncMultiSelect, InlineField, Input, MultiSelect } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import type { Parameter } from '../../api';
import type { DataSource } from '../DataSource';

/** How many values of a menu are offered at once; typing searches among all of them in the backend. */
const OFFERED = 200;

interface Props {
  parameter: Parameter;
  /** The menu of its values, undefined where there is none. */
  menu: string | undefined;
  params: Record<string, string[]>;
  range?: TimeRange;
  datasource: DataSource;
  onChange: (values: string[]) => void;
}

/** One parameter: a choice of texts, a menu of the backend, or a text, each with the variables of the board. */
export function ParameterField(props: Props) {
  const { parameter, params } = props;
  const id = `parameter-${parameter.name}`;
  return (
    <InlineField
      label={parameter.name}
      labelWidth={20}
      tooltip={`${parameter.summary} Allowed: ${parameter.allowed}.`}
      required={parameter.required}
      htmlFor={id}
    >
      <Control {...props} id={id} values={params[parameter.name] ?? []} />
    </InlineField>
  );
}

interface ControlProps extends Props {
  id: string;
  values: string[];
}

function Control(props: ControlProps) {
  const { id, parameter, menu, values, onChange } = props;
  const placeholder = defaultText(parameter) ?? (parameter.required ? parameter.allowed : 'all');
  const choices = parameter.schema.enum;
  if (!choices && !menu) {
    return (
      <TextControl {...props} key={values[0] ?? ''} placeholder={parameter.default ?? parameter.allowed} />
    );
  }
  const shared = {
    inputId: id,
    width: 40,
    placeholder,
    allowCustomValue: true,
    value: values.map(optionOf),
    onChange: (chosen: Array<SelectableValue<string>>) => onChange(limited(chosen, parameter)),
  };
  if (choices) {
    return <MultiSelect {...shared} options={[...choices, ...variables()].map(optionOf)} />;
  }
  return <AsyncMultiSelect {...shared} defaultOptions loadOptions={(search) => offered(props, search)} />;
}

function TextControl({ id, values, placeholder, onChange }: ControlProps & { placeholder: string }) {
  return (
    <Input
      id={id}
      width={40}
      placeholder={placeholder}
      defaultValue={values[0] ?? ''}
      onBlur={({ currentTarget: { value } }) =>
        value !== (values[0] ?? '') && onChange(value === '' ? [] : [value])
      }
    />
  );
}

/** Values of a menu, narrowed by the other parameters; none where they cannot be had, and any can be typed. */
async function offered({ datasource, menu, params, parameter, range }: ControlProps, search: string) {
  const others = Object.fromEntries(Object.entries(params).filter(([name]) => name !== parameter.name));
  const asked = datasource.menu({ menu: menu ?? '', params: others }, { range, search, limit: OFFERED });
  const values = await lastValueFrom(asked).catch(() => []);
  const ofBoard = variables().filter((text) => text.includes(search));
  return [...ofBoard, ...values].map(optionOf);
}

/** The default for people: `{a,b}` is how the backend writes several values. */
const defaultText = (parameter: Parameter) =>
  parameter.default?.replace(/^\{(.*)\}$/, '$1').replaceAll(',', ', ');

/** The last of what was chosen where only one value is taken. */
function limited(chosen: Array<SelectableValue<string>>, { repeated }: Parameter): string[] {
  const values = chosen.flatMap(({ value }) => (value ? [value] : []));
  return repeated ? values : values.slice(-1);
}

const optionOf = (value: string): SelectableValue<string> => ({ value, label: value });

const variables = () =>
  getTemplateSrv()
    .getVariables()
    .map(({ name }) => `$${name}`);
