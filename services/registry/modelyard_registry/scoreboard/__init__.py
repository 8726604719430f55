"""What was observed in service, counted once: experiments' variants and the shadow ledger."""
