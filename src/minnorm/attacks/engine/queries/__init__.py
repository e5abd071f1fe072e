"""What attacks by queries share: searches, normals of boundaries, random search."""
