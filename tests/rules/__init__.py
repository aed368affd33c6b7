"""What the project asks of its own sources, as tests."""
