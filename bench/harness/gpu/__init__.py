"""What bench/gpu_box.py is made of: workloads, those who answer them, one job in a process, the report."""
