"""What attacks share: the problem, the search, linear models, descents, rays, coarse to exact."""
