"""The domain: kernel (case, dialogue, policy, records, packs) and departments."""
