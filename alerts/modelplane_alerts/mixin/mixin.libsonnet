(import 'config.libsonnet') +
(import 'rules.libsonnet') +
(import 'signals.libsonnet') +
(import 'alerts.libsonnet')
