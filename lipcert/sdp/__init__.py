"""Proved Lipschitz constants from semidefinite programs, one structured LMI per network.

    chain = Chain.of(graph)                  # the network as an LMI
    proof = search(chain, limit_seconds=60)  # proof.upper is proved, proof.relaxation_lower the gap

Slopes on a region, where the caller knows them, make the same program local.
"""

from lipcert.sdp.chain import Chain
from lipcert.sdp.proof import LipschitzProof
from lipcert.sdp.search import Progress, search
from lipcert.sdp.verify import verified

__all__ = ["Chain", "LipschitzProof", "Progress", "search", "verified"]
