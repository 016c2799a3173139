"""A smaller network out of one network: codes of few bits, chosen by proof."""
