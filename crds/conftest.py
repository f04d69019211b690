from cluster.apiserver import api_server_fixture  # noqa: F401 - the fixture `api_server`
