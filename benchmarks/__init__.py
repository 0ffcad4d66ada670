"""What the performance claims are measured with: `python -m benchmarks` (see docs/performance.md)."""
