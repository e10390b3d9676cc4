"""Lists of objects that somebody else made: CSV, Parquet, and S3 Inventory."""
