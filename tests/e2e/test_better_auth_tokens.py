"""Tokens that a real Better Auth made: which of them the verifier accepts."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import jwt
import pytest

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_verifier import JwtVerifier
from dev.postgres import PostgresServer
from tests.support.servers.better_auth import BetterAuth, better_auth

pytestmark = pytest.mark.server


@asynccontextmanager
async def verifier_for(auth: BetterAuth) -> AsyncIterator[JwtVerifier]:
    """Yield a verifier that accepts the keys, issuer and audience of this server, as with `BETTER_AUTH_URL`."""
    trust = auth.jwks_trust
    assert trust.jwks_url
    keys = Jwks(trust.jwks_url)
    await keys.start()
    try:
        yield JwtVerifier(trust, keys)
    finally:
        await keys.close()


@pytest.mark.parametrize(
    ("variant", "algorithm"),
    [({}, "EdDSA"), ({"alg": "ES256"}, "ES256"), ({"alg": "RS256"}, "RS256"), ({"ids": "uuid"}, "EdDSA")],
    ids=["by default", "ES256", "RS256", "uuid ids"],
)
async def test_a_verified_token_has_the_user_id_of_its_user(
    postgres: PostgresServer, variant: dict[str, Any], algorithm: str
) -> None:
    async with better_auth(postgres.new_database(), **variant) as auth, verifier_for(auth) as verifier:
        ann, bob = await auth.sign_up("ann"), await auth.sign_up("bob")
        tokens = [await ann.token(), await bob.token()]

        users = [(await verifier.verify(token)) for token in tokens]

        assert users == [ann.user_id, bob.user_id]
        assert {jwt.get_unverified_header(token)["alg"] for token in tokens} == {algorithm}
        if "ids" in variant:
            assert str(UUID(ann.user_id)) == ann.user_id


async def test_given_key_rotation_then_old_tokens_stay_valid_and_a_new_token_is_accepted_at_its_first_use(
    postgres: PostgresServer,
) -> None:
    async with better_auth(postgres.new_database(), rotation=2) as auth, verifier_for(auth) as verifier:
        ann = await auth.sign_up()
        old = await ann.token()
        assert (await verifier.verify(old)) == ann.user_id

        await asyncio.sleep(2.5)  # longer than the two seconds of `rotation`
        new = await ann.token()

        assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
        async with asyncio.timeout(1):
            assert (await verifier.verify(new)) == ann.user_id
        assert (await verifier.verify(old)) == ann.user_id


async def test_an_hs256_token_from_the_custom_sign_option_is_accepted_with_the_shared_secret(
    postgres: PostgresServer,
) -> None:
    async with better_auth(postgres.new_database(), hs256=True) as auth:
        ann = await auth.sign_up()
        token = await ann.token()

        assert jwt.get_unverified_header(token)["alg"] == "HS256"
        assert (await JwtVerifier(auth.secret_trust, None).verify(token)) == ann.user_id


async def test_a_mail_verification_token_is_refused_although_its_signature_is_valid(
    postgres: PostgresServer,
) -> None:
    async with better_auth(postgres.new_database(), mails=True) as auth:
        await auth.sign_up()
        mailed = next(line.split()[1] for line in auth.printed if line.startswith("mail "))

        assert "email" in jwt.decode(mailed, auth.secret, algorithms=["HS256"])
        with pytest.raises(NotAuthenticated):
            await JwtVerifier(auth.secret_trust, None).verify(mailed)


@pytest.mark.parametrize("signed_with", ["secret", "keys"])
async def test_session_tokens_of_every_kind_are_refused(postgres: PostgresServer, signed_with: str) -> None:
    async with (
        better_auth(postgres.new_database(), sessionCache=signed_with) as auth,
        verifier_for(auth) as verifier,
    ):
        ann = await auth.sign_up()
        cached = re.search(r"session_data=([^;]+)", ";".join(ann.cookies))
        await ann.token()  # so that there are keys

        assert cached
        for token in (ann.session_token, unquote(ann.session_token), unquote(cached[1])):
            for each in (verifier, JwtVerifier(auth.secret_trust, None)):
                with pytest.raises(NotAuthenticated):
                    await each.verify(token)
