"""The cost ledger: who used which device for how long, and what that costs.

Samples become use by cell (``usage``), the inventory becomes capacity by cell (``cells``). Both are balanced
in whole micro-units (``allocation``) and priced (``prices``). ``book`` puts the lines (``lines``) together;
``rows``, ``focus`` and ``forecast`` read them. Nothing here does I/O.
"""
