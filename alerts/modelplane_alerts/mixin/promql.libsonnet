// Parts of PromQL that rules share.
//
// Two placeholders stand in every expression and are replaced by a pass (passes.libsonnet): the label
// `__cluster_labels__` by the labels of _config.clusterLabels, and the matcher `__selector__=""` by
// _config.selector. Both are valid PromQL, so that an expression can be parsed before it.
//
// Texts are joined by +, for jsonnet in C++ takes 5 ms for each % (measured), and there are many.
local labels(names) = std.join(', ', ['__cluster_labels__'] + names);

{
  // Labels of a list, each list with those of the cluster.
  labels:: labels,
  version:: labels(['model_name', 'model_version']),
  calls:: labels(['tenant_id', 'model_name', 'model_version']),

  // A number as a text, to nine decimals; jsonnet prints 17 digits. Texts stay as they are, and cost nothing:
  // a fraction costs jsonnet in C++ 13 ms (measured).
  number(value)::
    if std.isString(value) then value
    else if value == std.floor(value) then std.toString(value)
    else
      local billionths = std.floor(std.abs(value) * 1e9 + 0.5);
      local whole = std.floor(billionths / 1e9);
      local digits = '000000000' + (billionths - whole * 1e9);
      local fraction = std.rstripChars(std.substr(digits, std.length(digits) - 9, 9), '0');
      (if value < 0 then '-' else '') + whole + (if fraction == '' then '' else '.' + fraction),

  // A series as it is scraped.
  raw(metric, matchers='')::
    metric + '{' + (if matchers == '' then '' else matchers + ',') + '__selector__=""}',

  by(operator, names, expr):: operator + ' by (' + names + ') (' + expr + ')',
  increase(metric, window, matchers='', offset='')::
    'increase(' + self.raw(metric, matchers) + '[' + window + ']' + offset + ')',
  lines(parts):: std.join('\n', parts),

  // A constant of the registry, which several rulers may record: one series for each combination of labels.
  constant(series, names, matchers='')::
    self.by('max', std.join(', ', names), series.name + (if matchers == '' then '' else '{' + matchers + '}')),
}
