"""Debit control: params, controls and finish rules in; a verdict timeline and its explanation out. Pure."""
