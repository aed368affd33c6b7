"""Every op on every backend and ISA against the reference, bit for bit."""
