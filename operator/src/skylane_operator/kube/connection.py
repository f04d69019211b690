"""Our connection in Kopf's terms: both use the same credentials."""

import kopf

from skylane_operator.kube.client import KubeClient


def connection_info(client: KubeClient) -> kopf.ConnectionInfo:
    """Server and credentials, as they are now."""
    configuration = client.configuration
    scheme, _, token = str(configuration.api_key.get("BearerToken", "")).partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
