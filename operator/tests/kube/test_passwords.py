import base64

import pytest

from skylane_operator.errors import ApiError, ApiNotFoundError, ApiUnavailableError
from skylane_operator.kube.passwords import Passwords
from skylane_operator.model.key import Key

SECRET = Key("web", "rack-1")


class Client:
    """Answers with `answer`, or raises it."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    async def request(self, method, path):
        self.asked.append((method, path))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def secret(**data):
    return {"data": {name: base64.b64encode(value).decode() for name, value in data.items()}}


async def read(answer):
    passwords = Passwords(Client(answer), lambda _: None, lambda _: True)
    await passwords.need(SECRET)
    return passwords.known[SECRET]


async def test_one_secret_is_read_by_its_name_once():
    client = Client(secret(password=b"s3cret"))
    passwords = Passwords(client, lambda _: None, lambda _: True)
    await passwords.need(SECRET)
    await passwords.need(SECRET)
    assert client.asked == [("GET", "/api/v1/namespaces/web/secrets/rack-1")]
    assert passwords.known[SECRET].text == "s3cret"
    assert "s3cret" not in repr(passwords.known)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (ApiNotFoundError("no", 404), "Secret web/rack-1 does not exist"),
        (
            ApiError("no", 403),
            "may not get Secret web/rack-1; name it in the chart's value bgp.passwordSecrets",
        ),
        (secret(), "has no key password"),
        ({}, "has no key password"),
        (secret(password=b"\xff"), "password is not ASCII"),
    ],
)
async def test_what_is_wrong_with_a_secret_is_data(answer, fault):
    password = await read(answer)
    assert fault in password.fault
    assert password.text == ""


async def test_an_api_server_that_is_away_is_not_a_missing_secret():
    passwords = Passwords(Client(ApiUnavailableError("away")), lambda _: None, lambda _: True)
    with pytest.raises(ApiUnavailableError):
        await passwords.need(SECRET)
    assert passwords.known == {}


async def test_another_password_is_told_and_what_cannot_be_read_stays():
    told = []
    client = Client(secret(password=b"one"))
    passwords = Passwords(client, told.append, lambda _: True)
    await passwords.need(SECRET)
    await passwords.refresh()
    client.answer = ApiUnavailableError("away")
    await passwords.refresh()
    assert (told, passwords.known[SECRET].text) == ([], "one")
    client.answer = secret(password=b"two")
    await passwords.refresh()
    assert (told, passwords.known[SECRET].text) == ([SECRET], "two")


async def test_a_secret_that_nobody_names_any_more_is_forgotten():
    client = Client(secret(password=b"one"))
    passwords = Passwords(client, lambda _: None, lambda _: False)
    await passwords.need(SECRET)
    await passwords.refresh()
    assert (passwords.known, len(client.asked)) == ({}, 1)
