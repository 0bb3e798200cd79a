"""Series of one metric on one grid: what is requested, the queries, the answer and its JSON."""
