// Names of what is recorded of drift, and the order of its windows.
//
// A signal is judged by the shortest of its windows that has a value now and a past; so one drift is one alert, and
// signals of models with few calls are judged by longer windows.
local schema = import 'schema.json';

local promql = import 'promql.libsonnet';

local calibration = schema.calibration;

local secondsOf = { s: 1, m: 60, h: 3600, d: 86400 };
local seconds(duration) =
  local last = std.length(duration) - 1;
  std.parseInt(std.substr(duration, 0, last)) * secondsOf[duration[last]];

{
  seconds:: seconds,
  name(key, window):: schema.windowed[key] + window,
  // The windows of _config.signalWindows, shortest first.
  windows(config):: std.sort(std.objectFields(config.signalWindows), seconds),
  // Those whose limits come from a past: one that holds few windows does not tell what is usual.
  isCalibrated(window):: seconds(window) * calibration.leastWindows <= calibration.pastHours * 3600,
  calibratedWindows(config):: std.filter(self.isCalibrated, self.windows(config)),
  shorter(config, window):: [other for other in self.windows(config) if seconds(other) < seconds(window)],

  // The value over the shortest of windows that has one.
  first(windows, value):: std.join('\nor\n', std.map(value, windows)),
  // psi less what chance explains.
  excess(config)::
    self.first(self.windows(config), function(window) '(' + self.name('SIGNAL_PSI', window) + ' - ' + self.name('SIGNAL_PSI_NOISE', window) + ')'),

  // A threshold of the registry, or its default, for each of the models of a series.
  threshold(series, default, models)::
    '(' + promql.constant(series, ['model_name']) + ' or ' + promql.by('group', 'model_name', models) + ' * ' + promql.number(default) + ')',
}
