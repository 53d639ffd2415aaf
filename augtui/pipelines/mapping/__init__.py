"""The map of a project: records as points, alike ones near each other, and the clusters that they form."""
