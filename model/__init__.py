"""The PyTorch model, alone: it imports nothing else of the project."""
