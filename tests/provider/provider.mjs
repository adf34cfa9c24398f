// A certified OpenID provider on 127.0.0.1, set up as a team would for an API: its access tokens are JWTs with `sid`,
// `auth_time` and roles, it refreshes them, and it posts a logout token to each client when a user signs out.

import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";
import { createMemoryAdapter } from "oidc-provider/lib/adapters/memory_adapter.js";

export const AUDIENCE = "https://api.example";
export const PANEL = "panel";
export const PROFILE = "profile";
/** Where the browser is sent back to. Nothing is there: the browser of the tests stops before it. */
export const CALLBACK = "https://panel.example/callback";
const BACKCHANNEL = "https://sessions.example/sessions/backchannel-logout";

/** Starts the provider. `logoutUrl` is where its logout tokens really go; without it they are only recorded. */
export async function startProvider({ port, logoutUrl }) {
  const server = createServer((request, response) => handle(request, response));
  await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const adapter = createMemoryAdapter();
  const logouts = [];
  let handle;
  let serial = 0;

  /** What the provider calls in the place of `fetch`, which refuses loopback addresses. */
  async function deliver(url, { method, headers, body }) {
    const delivery = { url, token: new URLSearchParams(body).get("logout_token"), status: 200 };
    logouts.push(delivery);
    if (!logoutUrl) return new Response();
    const response = await fetch(logoutUrl, { method, headers, body });
    delivery.status = response.status;
    return response;
  }

  /** Publishes these keys, and signs with the first. Sessions and refresh tokens stay. */
  function use(keys) {
    const provider = new Provider(issuer, configuration({ keys, adapter, deliver }));
    handle = provider.callback();
  }

  async function newKey() {
    const { privateKey } = await generateKeyPair("RS256", { extractable: true });
    return { ...(await exportJWK(privateKey)), kid: `key-${++serial}`, use: "sig", alg: "RS256" };
  }

  const keys = [await newKey()];
  use(keys);
  return {
    issuer,
    logouts,
    /** Signs with a new key from now on, and still publishes the last `keep` older ones. */
    async rotate(keep) {
      keys.unshift(await newKey());
      keys.length = 1 + keep;
      use(keys);
    },
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function configuration({ keys, adapter, deliver }) {
  const client = (client_id) => ({
    client_id,
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"],
    redirect_uris: [CALLBACK],
    backchannel_logout_uri: BACKCHANNEL,
    backchannel_logout_session_required: true,
  });
  return {
    adapter,
    jwks: { keys },
    clients: [client(PANEL), client(PROFILE)],
    cookies: { keys: ["only for tests"] },
    fetch: deliver,
    scopes: ["openid"],
    issueRefreshToken: () => true,
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    features: {
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ audience: AUDIENCE, scope: "", accessTokenFormat: "jwt" }),
      },
    },
    extraTokenClaims({ oidc: { entities } }, { sid, accountId }) {
      const { authTime } = entities.RefreshToken ?? entities.AuthorizationCode;
      return { sid, auth_time: authTime, realm_access: { roles: accountId === "1" ? ["admin"] : [] } };
    },
  };
}
