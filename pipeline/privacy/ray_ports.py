"""The ports of Ray: which there are, and whether they ask a stranger for a token."""

from enum import Enum

_METHOD = "/ray.rpc.InternalKVGcsService/InternalKVKeys"
"""Of the one server that every cluster has, GCS: reads the names of what the cluster stores."""
_SECONDS = 5.0

LOCAL_PORTS = {
    "this process": "results of tasks",
    "gcs_server": "what runs where",
    "raylet": "two ports: starts workers, hands over blocks of pixels",
    "each worker": "results of tasks",
}
"""Processes of a Ray that is started for a run, and what their ports are for."""


class Answer(Enum):
    """What a cluster says to somebody without a token."""

    REFUSES = "asks for a token"
    OBEYS = "asks nobody for a token"
    UNKNOWN = "did not say whether it asks for a token"


def can_be_asked(address: str) -> bool:
    """Tell whether an address is ``host:port``."""
    host, _, port = address.rpartition(":")
    return bool(host) and "/" not in host and port.isdecimal()


def ask_without_token(address: str) -> Answer:
    """Ask the GCS at ``host:port`` for something harmless, without a token."""
    import grpc  # part of Ray; whoever only reads results needs neither

    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(_METHOD)
        try:
            call(b"", timeout=_SECONDS)
        except grpc.RpcError as error:
            refused = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            return Answer.REFUSES if error.code() in refused else Answer.UNKNOWN
    return Answer.OBEYS
