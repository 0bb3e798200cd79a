/** Lines, lanes, bars and cells of frames, in SVG and HTML: what core panels draw of them in a Grafana. */
import {
  type DataFrame,
  type Field,
  FieldType,
  type GrafanaTheme2,
  type TimeRange,
  dateTimeFormat,
  getFieldDisplayName,
} from '@grafana/data';
import { useTheme2 } from '@grafana/ui';

interface Size {
  width: number;
  height: number;
}

const COLOURS = ['blue', 'green', 'yellow', 'orange', 'purple', 'red'] as const;
const MARGIN = { left: 72, bottom: 20, legend: 22 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];

const colourOf = (theme: GrafanaTheme2, index: number) =>
  theme.visualization.getColorByName(COLOURS[index % COLOURS.length] ?? 'blue');

export function formatted(field: Field, value: unknown): string {
  const { prefix = '', text = String(value), suffix = '' } = field.display?.(value) ?? {};
  return prefix + text + suffix;
}

const isDrawn = ({ type, config }: Field) => type === FieldType.number && !config.custom?.hideFrom?.viz;

/** Values of all number fields over time; the axis has the first field's format. */
export function Lines({ frames, width, height, range }: Size & { frames: DataFrame[]; range: TimeRange }) {
  const theme = useTheme2();
  const lines = frames.flatMap((frame) =>
    frame.fields.filter(isDrawn).map((field) => ({ field, frame, times: frame.fields[0]?.values ?? [] })),
  );
  const values = lines.flatMap(({ field }) => field.values.filter(Number.isFinite));
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const [start, end] = [range.from.valueOf(), range.to.valueOf()];
  const [right, bottom] = [width - MARGIN.left, height - MARGIN.bottom - MARGIN.legend];
  const x = (time: number) => MARGIN.left + ((time - start) / (end - start || 1)) * (right - 8);
  const y = (value: number) => 6 + (1 - (value - low) / (high - low || 1)) * (bottom - 12);
  const first = lines[0]?.field;
  return (
    <>
      <svg width={width} height={height - MARGIN.legend} fontSize={11} fill={theme.colors.text.secondary}>
        {TICKS.map((share) => {
          const value = low + share * (high - low);
          return (
            <g key={share}>
              <line
                x1={MARGIN.left}
                x2={width}
                y1={y(value)}
                y2={y(value)}
                stroke={theme.colors.border.weak}
              />
              <text x={MARGIN.left - 6} y={y(value) + 4} textAnchor="end">
                {first ? formatted(first, value) : ''}
              </text>
            </g>
          );
        })}
        <Times start={start} end={end} x={x} y={height - MARGIN.legend - 6} />
        {lines.map(({ field, times }, index) => (
          <path
            key={index}
            fill="none"
            stroke={colourOf(theme, index)}
            strokeWidth={1.5}
            d={pathOf(times, field.values, x, y)}
          />
        ))}
      </svg>
      <Legend
        entries={lines.slice(0, 12).map(({ field, frame }) => {
          const last = field.values.findLast((value: number | null) => value !== null) ?? null;
          const name = getFieldDisplayName(field, frame, frames);
          return `${name}: ${last === null ? 'no value' : formatted(field, last)}`;
        })}
      />
    </>
  );
}

function Times({ start, end, x, y }: { start: number; end: number; x: (t: number) => number; y: number }) {
  const format = end - start > 86_400_000 ? 'MM/DD HH:mm' : 'HH:mm';
  return (
    <>
      {[0, 0.25, 0.5, 0.75].map((share) => {
        const time = start + share * (end - start);
        return (
          <text key={share} x={x(time)} y={y}>
            {dateTimeFormat(time, { format })}
          </text>
        );
      })}
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

function Legend({ entries }: { entries: string[] }) {
  const theme = useTheme2();
  return (
    <ul
      className="legend"
      style={{ display: 'flex', gap: 16, listStyle: 'none', height: MARGIN.legend, overflow: 'hidden' }}
    >
      {entries.map((text, index) => (
        <li key={index} style={{ fontSize: 12, whiteSpace: 'nowrap' }}>
          <span style={{ color: colourOf(theme, index) }}>▬ </span>
          {text}
        </li>
      ))}
    </ul>
  );
}

/** A lane for each frame, each text from its time to the next. */
export function Lanes({ frames, width, height, range }: Size & { frames: DataFrame[]; range: TimeRange }) {
  const theme = useTheme2();
  const [start, end] = [range.from.valueOf(), range.to.valueOf()];
  const left = Math.min(260, width / 3);
  const lane = (height - MARGIN.bottom) / Math.max(1, frames.length);
  const x = (time: number) =>
    left + ((Math.min(Math.max(time, start), end) - start) / (end - start || 1)) * (width - left);
  return (
    <svg width={width} height={height} fontSize={11} fill={theme.colors.text.secondary}>
      {frames.map((frame, index) => {
        const [times, texts] = [frame.fields[0]?.values ?? [], frame.fields[1]];
        const name = texts ? getFieldDisplayName(texts, frame, frames) : '';
        return (
          <g key={index} transform={`translate(0 ${index * lane})`}>
            <text x={left - 8} y={lane / 2 + 4} textAnchor="end">
              {name}
            </text>
            {texts?.values.map((text: string | null, at: number) => {
              const [from, to] = [x(times[at]), x(times[at + 1] ?? end)];
              return text === null ? null : (
                <g key={at}>
                  <rect
                    x={from}
                    y={lane * 0.1}
                    width={Math.max(1, to - from)}
                    height={lane * 0.8}
                    fill={texts.display?.(text).color ?? colourOf(theme, 0)}
                  />
                  {to - from > 60 && (
                    <text x={from + 4} y={lane / 2 + 4} fill={theme.colors.getContrastText('#808080')}>
                      {formatted(texts, text)}
                    </text>
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
      <Times start={start} end={end} x={x} y={height - 4} />
    </svg>
  );
}

/** A group of bars for each text of the first field. */
export function Bars({ frames: [frame], width, height }: Size & { frames: DataFrame[] }) {
  const theme = useTheme2();
  const [names, ...fields] = frame?.fields ?? [];
  const numbers = fields.filter(isDrawn);
  const count = Math.max(1, frame?.length ?? 0);
  const high = Math.max(0, ...numbers.flatMap(({ values }) => values.filter(Number.isFinite))) || 1;
  const bottom = height - MARGIN.bottom - MARGIN.legend;
  const [group, first] = [(width - MARGIN.left) / count, numbers[0]];
  const bar = (group * 0.8) / Math.max(1, numbers.length);
  const every = Math.ceil(90 / group);
  return (
    <>
      <svg width={width} height={height - MARGIN.legend} fontSize={11} fill={theme.colors.text.secondary}>
        {TICKS.map((share) => (
          <text key={share} x={MARGIN.left - 6} y={10 + (1 - share) * (bottom - 10)} textAnchor="end">
            {first ? formatted(first, share * high) : ''}
          </text>
        ))}
        {numbers.map((field, index) =>
          field.values.map((value: number | null, at: number) => {
            const tall = ((value ?? 0) / high) * (bottom - 10);
            return (
              <rect
                key={`${index} ${at}`}
                x={MARGIN.left + at * group + index * bar}
                y={bottom - tall}
                width={Math.max(1, bar - 1)}
                height={tall}
                fill={colourOf(theme, index)}
              />
            );
          }),
        )}
        {names?.values.map((name: string, at: number) =>
          at % every === 0 ? (
            <text key={at} x={MARGIN.left + at * group} y={bottom + 14}>
              {name}
            </text>
          ) : null,
        )}
      </svg>
      <Legend entries={numbers.map((field) => getFieldDisplayName(field, frame))} />
    </>
  );
}

const MOST_ROWS = 30;

export function Cells({ frame, frames }: { frame: DataFrame; frames: DataFrame[] }) {
  const rows = Array.from({ length: Math.min(frame.length, MOST_ROWS) }, (_, index) => index);
  return (
    <table style={{ fontSize: 12 }}>
      <thead>
        <tr>
          {frame.fields.map((field) => (
            <th key={field.name} style={{ padding: '2px 8px' }}>
              {getFieldDisplayName(field, frame, frames)}
            </th>
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
