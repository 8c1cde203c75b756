"""The reference model: what Conductor's facts say a finished execution looks like."""
