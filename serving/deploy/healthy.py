"""Whether the server of this container answers: exit code 0 or 1."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def healthy(address: str, service: str = "") -> bool:
    """What the health service at `address` says, of all models or of one."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(not healthy(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8500"))
