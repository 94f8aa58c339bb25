"""Shipped proofs, for this house and for whoever adds an engine or a channel to it.

- `log_conformance.LogConformance`, `store_conformance.StoreConformance`: what an engine must keep.
- `adapter_conformance.AdapterConformance`: what a channel owes the bus.
- `clock.FakeClock`: time that moves only when told.
"""
