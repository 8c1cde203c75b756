"""ListSecrets and ListEnvironment of podium.v1.AdminService: what the server gives definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.api.method_table import Context, Served
from podium.v1 import admin_values_pb2 as pb

if TYPE_CHECKING:
    from podium.runtime.vault import Vault


class AdminValues:
    """Names of secrets; names and texts of environment values."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def served(self) -> dict[str, Served]:
        """By name, for the service's table."""
        return {
            "ListSecrets": Served(self.list_secrets, pb.ListSecretsRequest),
            "ListEnvironment": Served(self.list_environment, pb.ListEnvironmentRequest),
        }

    async def list_secrets(
        self, request: pb.ListSecretsRequest, context: Context
    ) -> pb.ListSecretsResponse:
        del request, context
        return pb.ListSecretsResponse(names=self._vault.secret_names)

    async def list_environment(
        self, request: pb.ListEnvironmentRequest, context: Context
    ) -> pb.ListEnvironmentResponse:
        del request, context
        return pb.ListEnvironmentResponse(values=self._vault.environment)
