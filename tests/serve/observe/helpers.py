"""What a page of metrics says."""

from prometheus_client.parser import text_string_to_metric_families


def samples(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and labels' values."""
    families = text_string_to_metric_families(page.decode())
    return {(s.name, tuple(sorted(s.labels.values()))): s.value for family in families for s in family.samples}
