"""The store: tables, statements, the feed and its replica (shell), and the packed access record (pure)."""
