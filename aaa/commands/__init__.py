"""What changes access: one function, one transaction, through the one door (`aaa.commands.door`)."""
