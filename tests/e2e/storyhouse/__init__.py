"""A running house in which the stories of cases and manners are told: on the embedded engine, or on Kafka."""
