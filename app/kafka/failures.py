"""Which errors of Kafka another attempt can mend, and which it cannot: those are one line with the remedy.

Written for aiokafka 0.14.0. Its flag `retriable` is about one request. The worker can do more than repeat a request: it makes
new producers, joins the group again and reads the stored state again.
"""

from __future__ import annotations

from aiokafka import errors as kafka

from app.errors import BrokerError

# not retriable by aiokafka's flag, but gone after a pause, with a new producer, or when the group has been joined again
MENDED_BY_STARTING_AGAIN = (
    kafka.BrokerNotAvailableError,
    kafka.CommitFailedError,
    kafka.ConcurrentTransactions,
    kafka.CorruptRecordException,
    kafka.DuplicateSequenceNumber,
    kafka.FetchSessionIdNotFound,
    kafka.IllegalGenerationError,
    kafka.IllegalStateError,
    kafka.InvalidFetchSessionEpoch,
    kafka.InvalidProducerEpoch,
    kafka.InvalidProducerIdMapping,
    kafka.InvalidTxnState,
    kafka.KafkaTimeoutError,
    kafka.KafkaUnavailableError,
    kafka.ListenerNotFound,
    kafka.LogDirNotFound,
    kafka.MemberIdRequired,
    kafka.NoOffsetForPartitionError,
    kafka.OffsetOutOfRangeError,
    kafka.OperationNotAttempted,
    kafka.OutOfOrderSequenceNumber,
    kafka.ProducerClosed,
    kafka.ProducerFenced,
    kafka.QuotaViolationError,
    kafka.ReassignmentInProgress,
    kafka.RebalanceInProgressError,
    kafka.ReplicaNotAvailableError,
    kafka.StaleControllerEpochError,
    kafka.StaleLeaderEpochCodeError,
    kafka.TransactionCoordinatorFenced,
    kafka.UnknownError,  # also every code that is newer than aiokafka
    kafka.UnknownMemberIdError,
    kafka.UnknownProducerId,
)
NOT_SPOKEN = (NotImplementedError, kafka.IncompatibleBrokerVersion)  # aiokafka raises these where a broker is too old
CHECK_CREDENTIALS = "check sasl_mechanism, sasl_username and sasl_password, or the oauth_ settings"
_REMEDIES: dict[type[kafka.KafkaError], str] = {
    kafka.AuthenticationFailedError: CHECK_CREDENTIALS,
    kafka.AuthenticationMethodNotSupported: CHECK_CREDENTIALS,
    kafka.ClusterAuthorizationFailedError: "grant IdempotentWrite on the cluster",
    kafka.GroupAuthorizationFailedError: "grant Read on the group, whose name is the app_id",
    kafka.IllegalSaslStateError: CHECK_CREDENTIALS,
    kafka.InconsistentGroupProtocolError: "the group's members are of another program: set another app_id",
    kafka.InvalidGroupIdError: "set another app_id",
    kafka.InvalidSessionTimeoutError: "set session_timeout between the broker's group.min.session.timeout.ms and "
    "group.max.session.timeout.ms",
    kafka.InvalidTimestampError: "raise message.timestamp.before.max.ms of the finals topic: a bar's timestamp is its window's "
    "start",
    kafka.InvalidTransactionTimeout: "raise the broker's transaction.max.timeout.ms to 60000 at least",
    kafka.MessageSizeTooLargeError: "raise the topic's max.message.bytes",
    kafka.RecordListTooLargeError: "raise the topic's segment.bytes",
    kafka.SaslAuthenticationFailed: CHECK_CREDENTIALS,
    kafka.TopicAuthorizationFailedError: "grant Read, Write and Describe on the topic",
    kafka.TransactionalIdAuthorizationFailed: "grant Write and Describe on transactional ids that begin with the app_id",
    kafka.UnsupportedSaslMechanismError: CHECK_CREDENTIALS,
    kafka.UnsupportedVersionError: "the brokers are too old: Kafka 2.1 or newer is needed",
}


def refusal_of(error: BaseException) -> kafka.KafkaError | None:
    """The error that no other attempt mends: this one, or the one that caused it; None if another attempt may help.

    aiokafka wraps what its background tasks met in a `KafkaError` without a class of its own.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kafka.KafkaError) and _is_final(cause):
            return cause
        cause = cause.__cause__
    return None


def refused(error: BaseException) -> BrokerError | None:
    """The error that ends a worker or a command, in one line with the remedy; None if another attempt may help."""
    refusal = refusal_of(error)
    if refusal is None:
        return None
    remedy = _REMEDIES.get(type(refusal), "look at the broker's log, another attempt does not help")
    return BrokerError(f"the broker refused a request: {reason_of(refusal)}; {remedy}")


def may_pass(error: BrokerError) -> bool:
    """Whether another attempt may mend what caused this error. Without a cause it is our own verdict, which stays."""
    return isinstance(error.__cause__, (kafka.KafkaError, OSError)) and refusal_of(error) is None  # TimeoutError is an OSError


def reason_of(error: BaseException) -> str:
    """The error as people read it: its class, where its text does not say it."""
    text, name = str(error), type(error).__name__
    if not text:
        return name
    return text if name in text else f"{name}: {text}"


def _is_final(error: kafka.KafkaError) -> bool:
    unspecific = type(error) is kafka.KafkaError or type(error) is kafka.BrokerResponseError
    return not (unspecific or error.retriable or isinstance(error, MENDED_BY_STARTING_AGAIN))
