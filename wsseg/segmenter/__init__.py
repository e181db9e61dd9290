"""The network: built, trained and asked for label scores."""
