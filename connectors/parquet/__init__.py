"""Parquet files that anybody may have written: what footers say, and reading no more than they may hold."""
