"""Inside an encoder: what the vectors of its layers hold, and where its heads look."""
