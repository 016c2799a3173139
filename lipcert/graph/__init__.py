"""Layer graphs: one network, or two aligned node by node."""
