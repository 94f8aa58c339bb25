"""The case: state, events, rules, and the records that workers pass to each other."""
