"""What a run's columns say by themselves: statistics, verdicts on criteria, fewer points, smoother lines."""
