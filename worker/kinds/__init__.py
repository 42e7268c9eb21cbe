"""What each kind of snapshot puts into its stream."""
