"""One call for each framework: ``wrap`` measures a model's own object.

Each module imports its framework, so import the one that you use:
``from modelplane_exporter.frameworks import pytorch``. ``measured`` and ``readings`` are what they share, and
what a further framework is built on.
"""
