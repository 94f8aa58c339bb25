"""Sales: questions about products, offers by mail to those who agreed, and "stop" obeyed everywhere."""

from workers.sales.campaign import Campaign, CampaignResult, start_campaign

__all__ = ["Campaign", "CampaignResult", "start_campaign"]
