// oauth4webapi, which does one step at a time and leaves the retry with a nonce to its caller.

import * as oauth from "oauth4webapi";

export async function connect({ url, clientId, fetch }) {
  const issuer = new URL(url);
  const own = { [oauth.customFetch]: fetch };
  const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...own });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const client = { client_id: clientId, use_mtls_endpoint_aliases: true };
  const proof = oauth.TlsClientAuth();

  async function twice(step, options) {
    try {
      return await step(options);
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error;
      return step(options);
    }
  }

  return {
    server,
    clientCredentials: (parameters, DPoP) =>
      twice(async (options) => {
        const response = await oauth.clientCredentialsGrantRequest(server, client, proof, parameters, options);
        return oauth.processClientCredentialsResponse(server, client, response);
      }, { DPoP, ...own }),

    grant: (type, parameters, DPoP) =>
      twice(async (options) => {
        const response = await oauth.genericTokenEndpointRequest(server, client, proof, type, parameters, options);
        return oauth.processGenericTokenEndpointResponse(server, client, response);
      }, { DPoP, ...own }),

    refresh: (token, parameters, DPoP) =>
      twice(async (options) => {
        const response = await oauth.refreshTokenGrantRequest(server, client, proof, token, options);
        return oauth.processRefreshTokenResponse(server, client, response);
      }, { DPoP, additionalParameters: parameters, ...own }),

    revoke: async (token) =>
      oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, token, own)),

    introspect: async (token) => {
      const response = await oauth.introspectionRequest(server, client, proof, token, own);
      return oauth.processIntrospectionResponse(server, client, response);
    },

    get: (token, path, DPoP) =>
      twice((options) => oauth.protectedResourceRequest(token, "GET", new URL(path, url), undefined, null, options), {
        DPoP,
        ...own,
      }),

    // Refuses cnf.x5t#S256 as unknown to it, so for tokens with a DPoP proof only.
    validate: (request) => oauth.validateJwtAccessToken(server, request, url, own),
    newKey: (algorithm) => oauth.generateKeyPair(algorithm),
    withKey: (pair, modify) => oauth.DPoP(client, pair, { [oauth.modifyAssertion]: modify }),
  };
}
