"""Understanding: language, intent, department, urgency, tone and the things that a text names."""
