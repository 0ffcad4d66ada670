"""The words of access: services, sessions, standings, timelines. Pure values; nothing here reads a clock or a file."""
