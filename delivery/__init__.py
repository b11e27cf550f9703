"""The way out: deliveries to the Webhook URLs of the channels."""
