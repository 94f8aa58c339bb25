"""Channel adapters, one package each; none imports another."""
