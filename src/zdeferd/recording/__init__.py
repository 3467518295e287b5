"""How what happened becomes durable: the ledger's thread, and what it takes in and writes out."""
