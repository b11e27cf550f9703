"""Numbers of lanes: a channel's is its id, above 0; that of a rule's webhook lies below."""


def lane_of(webhook_id: int) -> int:
    return -webhook_id


def webhook_of(lane: int) -> int:
    """0 for a channel's."""
    return max(0, -lane)
