"""Sales: questions about products, offers by mail to those who agreed, and "stop" obeyed everywhere."""

from workers.sales.campaign import Campaign, CampaignResult, campaign_from_toml, start_campaign

__all__ = ["Campaign", "CampaignResult", "campaign_from_toml", "start_campaign"]
