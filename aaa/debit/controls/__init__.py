"""Control objects: what an operator defines once under a name, for params to refer to (R1.4). Pure."""
