"""The address of a Kafka cluster, and the options for protocol, credentials and TLS that every client gets."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka import errors as kafka_errors

from app.errors import SettingsError
from app.kafka.failures import CHECK_CREDENTIALS
from app.settings import Settings
from app.settings.clients import Compression

AUTH_ERRORS = (
    kafka_errors.AuthenticationFailedError,
    kafka_errors.SaslAuthenticationFailed,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)


@dataclass(frozen=True)
class Cluster:
    """`bootstrap` is `host:port[,host:port]`; `options` go to every aiokafka client: protocol, credentials, TLS."""

    bootstrap: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # holds the password
    compression: Compression = Compression.none

    def __str__(self) -> str:
        """The addresses, without the options, which hold a password."""
        return self.bootstrap

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each bootstrap broker."""
        pairs = (address.rpartition(":") for address in self.bootstrap.split(","))
        return [(host.strip("[]"), int(port)) for host, _, port in pairs]

    @property
    def client(self) -> dict[str, Any]:
        """The keyword arguments of an aiokafka client."""
        return {"bootstrap_servers": self.bootstrap, **self.options}

    @property
    def producer(self) -> dict[str, Any]:
        """The keyword arguments of an aiokafka producer."""
        return {**self.client, "compression_type": codec_name(self.compression)}


def codec_name(compression: Compression) -> str | None:
    """The codec by aiokafka's name."""
    return None if compression is Compression.none else compression.value


def client_options(settings: Settings) -> dict[str, Any]:
    """Aiokafka's options for these settings; raises `SettingsError` if a certificate file or library cannot be used."""
    protocol = settings.security_protocol
    options: dict[str, Any] = {}
    if protocol.tls or protocol.sasl:
        options["security_protocol"] = protocol.value.upper()
    if protocol.tls:
        options["ssl_context"] = _ssl_context(settings)
    if protocol.sasl and settings.sasl_mechanism.password:
        options["sasl_mechanism"] = settings.sasl_mechanism.value.upper()
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    elif protocol.sasl:
        from app.kafka.tokens import tokens_of  # noqa: PLC0415  # an HTTP client that most do not need

        options["sasl_mechanism"] = "OAUTHBEARER"  # Amazon MSK has tokens of its own kind in it
        options["sasl_oauth_token_provider"] = tokens_of(settings)
    return options


def faust_credentials(options: Mapping[str, Any]) -> Any:
    """The same options for Faust's own clients; None without credentials and TLS."""
    if "sasl_oauth_token_provider" in options:
        return faust.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=options.get("ssl_context"))
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if "ssl_context" in options else None


def refusal(error: BaseException, address: str) -> str | None:
    """Why a connection was refused, by the broker or by us, and the remedy; None if another attempt may help."""
    where = f"broker {address}"
    if isinstance(error, ssl.SSLCertVerificationError):
        wrong_name = "mismatch" in error.verify_message
        remedy = "give its name as in the certificate" if wrong_name else "set tls_ca_file to the CA that signed it"
        return f"{where}: its certificate is not trusted ({error.verify_message}); {remedy}"
    if isinstance(error, ssl.SSLError):
        return f"{where}: no TLS connection ({error.reason or error}); is security_protocol right?"
    if isinstance(error, AUTH_ERRORS):
        return f"{where} refused the credentials ({_text(error)}); {CHECK_CREDENTIALS}"
    return None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file or None)
    except OSError as error:  # the base class of ssl.SSLError
        raise SettingsError(f"tls_ca_file={settings.tls_ca_file}: not a file of PEM certificates ({_text(error)})") from None
    context.check_hostname = settings.tls_check_hostname
    if settings.tls_cert_file:
        try:
            context.load_cert_chain(
                settings.tls_cert_file,
                settings.tls_key_file or None,
                settings.tls_key_password.get_secret_value,  # a function: without a password OpenSSL would ask for one
            )
        except OSError as error:
            files = f"tls_cert_file={settings.tls_cert_file}, tls_key_file={settings.tls_key_file}"
            raise SettingsError(f"{files}: not a PEM certificate with its key and tls_key_password ({_text(error)})") from None
    return context


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
