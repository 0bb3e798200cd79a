"""The machine's GPUs as series, and the names under which calls are charged to them.

>>> from modelplane_exporter.devices import device_of, watch_devices
>>> watch_devices()
True
>>> device_of(0)
('GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77', 'h200')

Needs the extra ``gpu`` (nvidia-ml-py). ``docs/devices.md`` says what the numbers mean on shared devices.
"""

from modelplane_exporter.devices.collector import watch_devices
from modelplane_exporter.devices.cuda import device_of

__all__ = ["device_of", "watch_devices"]
