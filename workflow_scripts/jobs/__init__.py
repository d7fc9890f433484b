"""What jobs of several rules share."""
