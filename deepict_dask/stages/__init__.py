"""The steps of the job: path in, path out."""
