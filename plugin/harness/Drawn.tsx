/** What a core panel would show of frames: lines, or a table with Grafana's formats, and the notices. */
import {
  type DataFrame,
  type Field,
  FieldType,
  type TimeRange,
  applyFieldOverrides,
  createTheme,
  getFieldDisplayName,
} from '@grafana/data';
import { Alert, useTheme2 } from '@grafana/ui';

interface Props {
  title: string;
  width: number;
  height: number;
  data: { series: DataFrame[]; timeRange: TimeRange };
}

const COLOURS = ['#5794F2', '#73BF69', '#F2CC0C', '#FF9830', '#B877D9', '#F2495C', '#8AB8FF', '#96D98D'];

export function Drawn({ width, height, data }: Props) {
  const theme = useTheme2() ?? createTheme();
  const frames = applyFieldOverrides({
    data: data.series,
    fieldConfig: { defaults: {}, overrides: [] },
    theme,
    replaceVariables: (text) => text,
    timeZone: 'utc',
  });
  const lines = frames.filter(({ meta }) => meta?.preferredVisualisationType === 'graph');
  const notices = frames.flatMap(({ meta }) => meta?.notices ?? []);
  return (
    <div className="drawn">
      {notices.map(({ text }) => (
        <Alert key={text} severity="warning" title={text} />
      ))}
      {lines.length > 0 ? (
        <Lines frames={lines} width={width} height={height} />
      ) : (
        frames.map((frame, index) => <Cells key={index} frame={frame} frames={frames} />)
      )}
      {frames.length === 0 && <p>No data</p>}
    </div>
  );
}

function Cells({ frame, frames }: { frame: DataFrame; frames: DataFrame[] }) {
  const rows = Array.from({ length: Math.min(frame.length, 30) }, (_, index) => index);
  return (
    <table style={{ fontSize: 12 }}>
      <thead>
        <tr>
          {frame.fields.map((field) => (
            <th key={field.name}>{getFieldDisplayName(field, frame, frames)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row}>
            {frame.fields.map((field) => (
              <td key={field.name} style={{ padding: '2px 8px' }}>
                {field.values[row] === null ? '' : formatted(field, field.values[row])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function formatted(field: Field, value: unknown): string {
  const { prefix = '', text = String(value), suffix = '' } = field.display?.(value) ?? {};
  return prefix + text + suffix;
}

function Lines({ frames, width, height }: { frames: DataFrame[]; width: number; height: number }) {
  const shown = frames.flatMap((frame) =>
    frame.fields
      .filter(({ type, config }) => type === FieldType.number && !config.custom?.hideFrom?.viz)
      .map((field) => ({ field, frame, times: frame.fields[0]?.values ?? [] })),
  );
  const values = shown.flatMap(({ field }) => field.values.filter((value: number | null) => value !== null));
  const times = shown.flatMap((each) => each.times);
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const [start, end] = [Math.min(...times), Math.max(...times)];
  const x = (time: number) => ((time - start) / (end - start || 1)) * width;
  const y = (value: number) => height - ((value - low) / (high - low || 1)) * height;
  return (
    <>
      <svg width={width} height={height}>
        {shown.map(({ field, times: at }, index) => (
          <path
            key={index}
            fill="none"
            stroke={COLOURS[index % COLOURS.length]}
            d={pathOf(at, field.values, x, y)}
          />
        ))}
      </svg>
      <ul>
        {shown.slice(0, 12).map(({ field, frame }, index) => {
          const last = field.values.findLast((value: number | null) => value !== null) ?? null;
          return (
            <li key={index} style={{ color: COLOURS[index % COLOURS.length] }}>
              {getFieldDisplayName(field, frame, frames)}:{' '}
              {last === null ? 'no value' : formatted(field, last)}
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** A gap lifts the pen. */
function pathOf(
  times: number[],
  values: Array<number | null>,
  x: (t: number) => number,
  y: (v: number) => number,
) {
  return values
    .map((value, index) => {
      const pen = index > 0 && values[index - 1] !== null ? 'L' : 'M';
      return value === null ? '' : `${pen}${x(times[index] ?? 0)} ${y(value)}`;
    })
    .join('');
}
