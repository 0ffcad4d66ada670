"""Live sessions: what each should be told now, the requests that tell it (RFC 5176), and the engine that sends them."""
