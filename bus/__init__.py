"""The bus: messages, log, store, delivery and the contract that channel adapters fulfil.

`bus` imports nothing of `adapters`, `workers` or `deploy`; they import `bus`.
"""
