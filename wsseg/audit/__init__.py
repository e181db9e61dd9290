"""Where given labels look wrong to a network that was trained on them."""

from wsseg.audit.auditing import audit_run
from wsseg.audit.finding import KINDS, Audit, Finding, Kind

__all__ = ["KINDS", "Audit", "Finding", "Kind", "audit_run"]
