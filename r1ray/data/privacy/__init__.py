"""Personal data: found by rules that leave mathematics alone, masked consistently within a document."""
