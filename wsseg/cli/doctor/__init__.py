"""What a run would stumble over, before it starts: the machine, the packages, the settings."""
