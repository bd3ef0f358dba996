"""What every room may use: configuration, context, sealing, certificates."""
