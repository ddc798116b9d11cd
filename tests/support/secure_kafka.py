"""An Apache Kafka with a listener for each kind of security, certificates of a new CA, and ACLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.kafka_node import KafkaServer
from tests.support.ports import free_ports

USER, PASSWORD = "trader", "correct horse"
LIMITED = "limited"  # a second user with the same password
DEADLINE = 30.0  # seconds
LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureKafka:
    """Addresses by listener: TLS (wants a client certificate), PLAIN and OAUTH (SASL without TLS), SCRAM (with TLS), OPEN."""

    addresses: dict[str, str]
    ca: Path
    client: Path  # file with the certificate and key of a client
    stranger: Path  # a CA that did not sign the broker's certificate

    def settings(self, listener: str, **more: str) -> dict[str, str]:
        """The application's settings for a listener, with `more` of them."""
        sasl = {"sasl_username": USER, "sasl_password": PASSWORD}
        chosen = {
            "TLS": {"security_protocol": "ssl", "tls_ca_file": str(self.ca), "tls_cert_file": str(self.client)},
            "PLAIN": {"security_protocol": "sasl_plaintext", "sasl_mechanism": "plain", **sasl},
            "SCRAM": {
                "security_protocol": "sasl_ssl",
                "sasl_mechanism": "scram-sha-512",
                "tls_ca_file": str(self.ca),
                **sasl,
            },
            "OAUTH": {
                "security_protocol": "sasl_plaintext",
                "sasl_mechanism": "oauthbearer",
                "oauth_client_id": USER,
                "oauth_client_secret": PASSWORD,
            },
            "OPEN": {},
        }[listener]
        return {"broker": f"kafka://{self.addresses[listener]}", **chosen, **more}

    def writing_denied(self, topic: str, user: str) -> AbstractContextManager[None]:
        """Deny a user writing to a topic until exit."""
        allowed = (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS)
        return self._rights(ResourceType.TOPIC, topic, user, AclOperation.WRITE, allowed)

    def transactions_denied(self, transactional_id: str, user: str) -> AbstractContextManager[None]:
        """Deny a user a transactional id until exit."""
        return self._rights(ResourceType.TRANSACTIONAL_ID, transactional_id, user, AclOperation.ALL, ())

    @contextmanager
    def _rights(
        self, kind: ResourceType, name: str, user: str, denied: AclOperation, allowed: Iterable[AclOperation]
    ) -> Iterator[None]:
        admin = AdminClient({"bootstrap.servers": self.addresses["OPEN"]})
        wanted = [(denied, AclPermissionType.DENY), *((what, AclPermissionType.ALLOW) for what in allowed)]
        rights = [AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", *right) for right in wanted]
        for future in admin.create_acls(rights).values():
            future.result(DEADLINE)
        yield
        every = AclBindingFilter(
            kind,
            name,
            ResourcePatternType.LITERAL,
            None,  # type: ignore[arg-type]  # any
            None,  # type: ignore[arg-type]  # any
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for future in admin.delete_acls([every]).values():
            future.result(DEADLINE)


@contextmanager
def secure_kafka(directory: Path) -> Iterator[SecureKafka]:
    """Start a broker from Kafka's jars; it is stopped on exit."""
    directory.mkdir(parents=True)
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    stranger.cert_pem.write_to_path(str(directory / "stranger.pem"))
    _write(authority.issue_cert("127.0.0.1"), directory / "broker.pem")
    _write(authority.issue_cert("trader@example.org"), directory / "client.pem")
    ports = dict(zip(("TLS", "PLAIN", "SCRAM", "OAUTH"), free_ports(4), strict=True))
    server = KafkaServer(directory / "kafka", more=_settings(directory, ports), scram=[f"SCRAM-SHA-512=[{_user(USER)}]"])
    server.start()
    try:
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        yield SecureKafka(
            {**addresses, "OPEN": server.bootstrap},
            directory / "ca.pem",
            directory / "client.pem",
            directory / "stranger.pem",
        )
    finally:
        server.stop()


def _settings(directory: Path, ports: dict[str, int]) -> dict[str, str]:
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    users = " ".join(f'user_{name}="{PASSWORD}"' for name in (USER, LIMITED))
    return {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,PLAIN:SASL_PLAINTEXT,SCRAM:SASL_SSL,OAUTH:SASL_PLAINTEXT"
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "ca.pem"),
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": f"{LOGIN}.plain.PlainLoginModule required {users};",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            f'{LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:ANONYMOUS",
    }


def _user(name: str) -> str:
    return f"name={name},password={PASSWORD}"


def _write(issued: trustme.LeafCert, path: Path) -> None:
    """Write key and certificates to one file; Kafka reads keys in PKCS #8 only."""
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text + b"".join(part.bytes() for part in issued.cert_chain_pems))
