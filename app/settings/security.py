"""The settings of the connection to Kafka: protocol, credentials, TLS."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from app.settings.addresses import HttpAddress
from app.settings.types import OnOff


class SecurityProtocol(StrEnum):
    """The protocol of the connections to the brokers."""

    plaintext = "plaintext"
    ssl = "ssl"
    sasl_plaintext = "sasl_plaintext"
    sasl_ssl = "sasl_ssl"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.value.endswith("ssl")

    @property
    def sasl(self) -> bool:
        """Whether credentials are sent."""
        return self.value.startswith("sasl_")


class SaslMechanism(StrEnum):
    """How a client proves who it is."""

    plain = "plain"
    scram_sha_256 = "scram-sha-256"
    scram_sha_512 = "scram-sha-512"
    oauthbearer = "oauthbearer"
    aws_msk_iam = "aws-msk-iam"

    @property
    def password(self) -> bool:
        """Whether it is a user and a password."""
        return self not in (SaslMechanism.oauthbearer, SaslMechanism.aws_msk_iam)


class Security(BaseSettings):
    """How brokers are connected to: a part of `Settings`."""

    security_protocol: SecurityProtocol = Field(
        SecurityProtocol.plaintext,
        description="Protocol of the connection to Kafka: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.",
    )
    sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.plain,
        description="With SASL: `plain`, `scram-sha-256`, `scram-sha-512`, `oauthbearer` or `aws-msk-iam`.",
    )
    sasl_username: str = Field("", description="With SASL: the user.")
    sasl_password: SecretStr = Field(SecretStr(""), description="With SASL: the password; never shown.")
    oauth_token_url: HttpAddress = Field("", description="With `oauthbearer`: where tokens come from, `https://host/token`.")
    oauth_client_id: str = Field("", description="The client that asks for them (grant `client_credentials`).")
    oauth_client_secret: SecretStr = Field(SecretStr(""), description="Its secret; never shown.")
    oauth_scope: str = Field("", description="The scope to ask for, if the server wants one.")
    oauth_ca_file: str = Field("", description="With `https://`: PEM file of the CAs to trust; empty: the system's.")
    aws_region: str = Field("", description="With `aws-msk-iam`: the region; credentials are found as the AWS SDK finds them.")
    tls_ca_file: str = Field("", description="With TLS: PEM file of the CAs to trust; empty: the system's.")
    tls_cert_file: str = Field("", description="With TLS: PEM file of our own certificate, if the broker asks for one.")
    tls_key_file: str = Field("", description="Its key, if it is not in the same file.")
    tls_key_password: SecretStr = Field(SecretStr(""), description="The key's password; never shown.")
    tls_check_hostname: OnOff = Field(True, description="Whether the broker's certificate must name its host: `on` or `off`.")


def check_security(settings: Security, *, pocket: bool) -> None:
    """Credentials and certificates are set if the protocol needs them, and only then. Raises `ValueError`."""
    protocol = settings.security_protocol
    shown = f"security_protocol={protocol.value}"
    if pocket and protocol is not SecurityProtocol.plaintext:
        raise ValueError(f"{shown}: the pocket broker speaks plaintext only, set broker to a Kafka")
    _check_credentials(settings, shown)
    if not protocol.tls and (settings.tls_ca_file or settings.tls_cert_file):
        raise ValueError(f"{shown} uses no tls_ca_file and tls_cert_file: use ssl or sasl_ssl, or leave them out")
    if settings.tls_key_file and not settings.tls_cert_file:
        raise ValueError(f"tls_key_file={settings.tls_key_file} is the key of no tls_cert_file")


def _check_credentials(settings: Security, shown: str) -> None:
    protocol, mechanism = settings.security_protocol, settings.sasl_mechanism
    password = bool(settings.sasl_username and settings.sasl_password.get_secret_value())
    some_of_it = bool(settings.sasl_username or settings.sasl_password.get_secret_value())
    oauth = bool(settings.oauth_token_url and settings.oauth_client_id and settings.oauth_client_secret.get_secret_value())
    some_oauth = settings.oauth_token_url or settings.oauth_client_id or settings.oauth_client_secret.get_secret_value()
    named = f"{shown}, sasl_mechanism={mechanism.value}"
    if not protocol.sasl and some_of_it:
        raise ValueError(f"{shown} sends no sasl_username and sasl_password: use sasl_ssl, or leave them out")
    if protocol.sasl and mechanism.password and not password:
        raise ValueError(f"{shown} needs sasl_username and sasl_password")
    if protocol.sasl and not mechanism.password and some_of_it:
        raise ValueError(f"{named} sends no sasl_username and sasl_password: leave them out")
    wanted = protocol.sasl and mechanism is SaslMechanism.oauthbearer
    if wanted and not oauth:
        raise ValueError(f"{named} needs oauth_token_url, oauth_client_id and oauth_client_secret")
    if not wanted and (some_oauth or settings.oauth_scope or settings.oauth_ca_file):
        raise ValueError(f"{named} uses no oauth_ settings: set sasl_mechanism=oauthbearer, or leave them out")
    if settings.oauth_ca_file and not settings.oauth_token_url.startswith("https://"):
        raise ValueError(f"oauth_ca_file={settings.oauth_ca_file} is for an oauth_token_url that begins with https://")
    if protocol.sasl and mechanism is SaslMechanism.aws_msk_iam and not settings.aws_region:
        raise ValueError(f"{named} needs aws_region")
