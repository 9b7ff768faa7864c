"""Cells: the recurrent networks besides `bpa.Network`, and what makes a connection plastic."""
