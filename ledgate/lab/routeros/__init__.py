"""A fake RouterOS: its API's words, queries, menus and tables (pure), and the server (shell)."""
