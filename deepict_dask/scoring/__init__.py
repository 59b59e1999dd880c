"""Scoring: picks and maps against what is true, and tables of picks united."""
