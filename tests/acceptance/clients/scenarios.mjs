// node scenarios.mjs LIBRARY WHERE: lets a library go through every scenario, and prints what it met, one line of JSON
// a scenario. Whether that is right, the tests say.

import { readFileSync } from "node:fs";
import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";
import { Agent, fetch as send } from "undici";

const [library, where] = [process.argv[2], JSON.parse(process.argv[3])];
const { connect } = await import(`./${library}.mjs`);
const CERTIFICATE = "urn:securecore:grant-type:certificate";

// Somebody with a certificate, or nobody, and the library speaking for them. `seen` is what was answered to what.
async function caller(name, { at = where.plain, clientId = name } = {}) {
  const file = (ending) => readFileSync(`${at.pki}/${name}.${ending}`);
  const identity = name === "nobody" ? {} : { cert: file("pem"), key: file("key") };
  const agent = new Agent({ connect: { ca: readFileSync(`${at.pki}/ca.pem`), ...identity } });
  const seen = [];
  const fetch = async (url, options) => {
    const response = await send(url, { ...options, dispatcher: agent });
    seen.push({ path: new URL(url).pathname, status: response.status, headers: options?.headers });
    return response;
  };
  const client = await connect({ url: at.url, clientId, fetch });
  const keys = createRemoteJWKSet(new URL(client.server.jwks_uri), { [customFetch]: fetch });
  const verify = async (token) => (await jwtVerify(token, keys, rfc9068(at.url))).payload;
  return { ...client, verify, seen, url: at.url, close: () => agent.close() };
}

const rfc9068 = (url) => ({
  issuer: url,
  audience: url,
  typ: "at+jwt",
  algorithms: ["ES256"],
  requiredClaims: ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
});

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

// What came of a call: 200, or the error that the library understood.
async function outcome(call) {
  try {
    const response = await call;
    return response?.status ?? 200;
  } catch (error) {
    if (error.code === "OAUTH_RESPONSE_BODY_ERROR") return `${error.status} ${error.error}`;
    if (error.code === "OAUTH_WWW_AUTHENTICATE_CHALLENGE") {
      const told = error.cause.map(({ scheme, parameters }) => `${scheme} ${parameters.error ?? "?"}`);
      return `${error.status} ${told.join(", ")}`;
    }
    throw error;
  }
}

const read = (client, token, dpop) => outcome(client.get(token.access_token, "/api/reports", dpop));
const refreshed = (client, token, dpop) => outcome(client.refresh(token.refresh_token, undefined, dpop));

// A key, and the handle that proves it. `named` is what proofs say their algorithm is.
async function keyOf(client, algorithm) {
  const pair = await client.newKey(algorithm === "EdDSA" ? "Ed25519" : algorithm);
  const key = { named: new Set() };
  key.handle = () =>
    client.withKey(pair, (header) => {
      if (algorithm === "EdDSA") header.alg = "EdDSA";
      key.named.add(header.alg);
    });
  return key;
}

const scenarios = {
  async metadata({ alice }) {
    return { server: alice.server };
  },

  async client_credentials({ service }) {
    const token = await service.clientCredentials({});
    const whoami = await (await service.get(token.access_token, "/api/whoami")).json();
    return { token, claims: claims(token.access_token), whoami, reports: await read(service, token) };
  },

  async certificate_grant({ alice }) {
    const token = await alice.grant(CERTIFICATE, {});
    const whoami = await (await alice.get(token.access_token, "/api/whoami")).json();
    return { token, claims: claims(token.access_token), whoami, reports: await read(alice, token) };
  },

  async refresh_rotates({ alice }) {
    const first = await alice.grant(CERTIFICATE, {});
    const second = await alice.refresh(first.refresh_token);
    return { first, second, reports: [await read(alice, first), await read(alice, second)] };
  },

  async lost_answer({ alice }) {
    const first = await alice.grant(CERTIFICATE, {});
    const lost = await alice.refresh(first.refresh_token);
    const again = await refreshed(alice, await alice.refresh(first.refresh_token));
    return { again, lost: await refreshed(alice, lost) };
  },

  async refused_scope({ alice }) {
    const token = await alice.grant(CERTIFICATE, {});
    const refused = await outcome(alice.refresh(token.refresh_token, { scope: "everything" }));
    return { refused, unused: (await alice.introspect(token.refresh_token)).active };
  },

  async reuse_detected({ alice }) {
    const first = await alice.grant(CERTIFICATE, {});
    const second = await alice.refresh(first.refresh_token);
    const third = await alice.refresh(second.refresh_token);
    const before = await read(alice, third);
    const replay = await refreshed(alice, first);
    const after = { refresh: await refreshed(alice, third), reports: await read(alice, third) };
    return { before, replay, after };
  },

  async revoked({ alice, bob }) {
    const token = await alice.grant(CERTIFICATE, {});
    const foreign = await outcome(bob.revoke(token.access_token));
    const still = await read(alice, token);
    await alice.revoke(token.access_token);
    const access = await read(alice, token);
    const next = await alice.refresh(token.refresh_token);
    await alice.revoke(next.refresh_token);
    return { foreign, still, access, family: [await read(alice, next), await refreshed(alice, next)] };
  },

  async introspected({ alice, bob, backoffice }) {
    const token = await alice.grant(CERTIFICATE, {});
    const own = await alice.introspect(token.access_token);
    const refresh = await alice.introspect(token.refresh_token);
    const entitled = await backoffice.introspect(token.access_token);
    const foreign = await bob.introspect(token.access_token);
    await alice.revoke(token.refresh_token);
    return { own, refresh, entitled, foreign, dead: await alice.introspect(token.access_token) };
  },

  async registered_client({ backoffice }) {
    const first = await backoffice.grant(CERTIFICATE, { scope: "reports.read" });
    const second = await backoffice.refresh(first.refresh_token);
    const wider = await outcome(backoffice.refresh(first.refresh_token, { scope: "reports.read reports.write" }));
    const unknown = await outcome(backoffice.clientCredentials({ scope: "everything" }));
    return { first, second, third: await refreshed(backoffice, first), wider, unknown };
  },

  async stolen({ alice, bob, nobody, impostor }) {
    const token = await alice.grant(CERTIFICATE, {});
    const thief = { bob, nobody, impostor };
    const met = {};
    for (const [name, client] of Object.entries(thief)) {
      met[name] = { reports: await read(client, token), refresh: await refreshed(client, token) };
    }
    return { ...met, alice: { reports: await read(alice, token), refresh: await refreshed(alice, token) } };
  },

  async validated({ alice }) {
    const key = await keyOf(alice, "ES256");
    const token = await alice.grant(CERTIFICATE, {}, key.handle());
    await alice.get(token.access_token, "/api/reports", key.handle());
    const { path, headers } = alice.seen.at(-1);
    const request = new Request(new URL(path, alice.url), { headers });
    const plain = await alice.grant(CERTIFICATE, {});
    return {
      by_jose: [await alice.verify(token.access_token), await alice.verify(plain.access_token)],
      by_itself: alice.validate ? await alice.validate(request) : null,
    };
  },
};

for (const algorithm of ["ES256", "Ed25519", "EdDSA", "PS256"]) {
  scenarios[`dpop_${algorithm}`] = async ({ alice, bob }) => {
    const [key, other] = [await keyOf(alice, algorithm), await keyOf(alice, algorithm)];
    const token = await alice.grant(CERTIFICATE, {}, key.handle());
    const next = await alice.refresh(token.refresh_token, undefined, key.handle());
    return {
      named: [...key.named],
      token,
      thumbprint: await key.handle().calculateThumbprint(),
      claims: claims(token.access_token),
      reports: await read(alice, next, key.handle()),
      bearer: await read(alice, next),
      thief: await read(bob, next, other.handle()),
      refresh: {
        unproven: await refreshed(alice, next),
        other: await refreshed(alice, next, other.handle()),
        bob: await refreshed(bob, next, key.handle()),
        own: await refreshed(alice, next, key.handle()),
      },
    };
  };

  scenarios[`nonce_${algorithm}`] = async ({ demanded }) => {
    const key = await keyOf(demanded, algorithm);
    // A handle remembers the last nonce, so each new one must be told.
    const statuses = async (call) => {
      const before = demanded.seen.length;
      return [await call, demanded.seen.slice(before).map(({ status }) => status)];
    };
    const told = key.handle();
    const [token, first] = await statuses(demanded.grant(CERTIFICATE, {}, told));
    const [, remembered] = await statuses(read(demanded, token, told));
    const [reports, resource] = await statuses(read(demanded, token, key.handle()));
    const [, refresh] = await statuses(demanded.refresh(token.refresh_token, undefined, key.handle()));
    return { token: first, remembered, reports, resource, refresh };
  };
}

const callers = {
  alice: await caller("alice"),
  bob: await caller("bob"),
  service: await caller("service"),
  nobody: await caller("nobody", { clientId: "alice" }),
  impostor: await caller("bob", { clientId: "alice" }),
  backoffice: await caller("service", { clientId: where.backoffice }),
  demanded: await caller("alice", { at: where.demanding }),
};
for (const [scenario, play] of Object.entries(scenarios)) {
  const met = await play(callers).catch((error) => ({ error: `${error.stack}\n${JSON.stringify(error.cause ?? null)}` }));
  console.log(JSON.stringify({ scenario, met }));
}
await Promise.all(Object.values(callers).map((each) => each.close()));
