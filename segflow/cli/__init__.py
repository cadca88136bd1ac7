"""What is typed in; text, colour and an exit code out."""
