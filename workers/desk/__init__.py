"""The desk: people, and the work that software hands to them."""
