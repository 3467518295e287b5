"""The zsh feature layer, as far as it is looked at from outside a shell."""
