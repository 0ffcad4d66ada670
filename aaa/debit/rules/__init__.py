"""The rules that limit access: each says in which windows it would hold, whatever the other rules say. Pure."""
