"""A run on the scheduler: a page of the Dask dashboard and metrics, both of what the client last sent."""

PLUGIN = "deepict-campaign"
"""The plugin's name; a scheduler has one, whichever client brought it."""
TAKE, ABOUT = "deepict_campaign_take", "deepict_campaign_about"
"""What the plugin answers to: a snapshot of a run, and the question where its page is."""
PAGE = "/deepict"
