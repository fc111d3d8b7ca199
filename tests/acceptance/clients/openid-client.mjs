// openid-client, which retries with a nonce by itself. Access tokens it only carries.

import * as openid from "openid-client";

export async function connect({ url, clientId, fetch }) {
  const metadata = { use_mtls_endpoint_aliases: true };
  const config = await openid.discovery(new URL(url), clientId, metadata, openid.TlsClientAuth(), {
    algorithm: "oauth2",
    [openid.customFetch]: fetch,
  });

  return {
    server: config.serverMetadata(),
    clientCredentials: (parameters, DPoP) => openid.clientCredentialsGrant(config, parameters, { DPoP }),
    grant: (type, parameters, DPoP) => openid.genericGrantRequest(config, type, parameters, { DPoP }),
    refresh: (token, parameters, DPoP) => openid.refreshTokenGrant(config, token, parameters, { DPoP }),
    revoke: (token) => openid.tokenRevocation(config, token),
    introspect: (token) => openid.tokenIntrospection(config, token),
    get: (token, path, DPoP) =>
      openid.fetchProtectedResource(config, token, new URL(path, url), "GET", undefined, undefined, { DPoP }),
    newKey: (algorithm) => openid.randomDPoPKeyPair(algorithm),
    withKey: (pair, modify) => openid.getDPoPHandle(config, pair, { [openid.modifyAssertion]: modify }),
  };
}
