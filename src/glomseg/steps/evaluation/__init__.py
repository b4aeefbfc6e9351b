"""What an evaluation writes, draws and says, and how it is read back."""
