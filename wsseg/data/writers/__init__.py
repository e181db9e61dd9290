"""Annotations and label maps back out to the formats of annotation tools."""
