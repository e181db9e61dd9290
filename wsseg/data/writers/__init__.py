"""Write annotations and label maps in the formats of annotation tools."""
