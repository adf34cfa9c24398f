// A browser with its cookies, which goes through the provider's own pages as a person would.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { AUDIENCE, CALLBACK } from "./provider.mjs";

export class Browser {
  #cookies = new Map();
  #issuer;

  constructor(issuer) {
    this.#issuer = issuer;
  }

  /**
   * Signs in to a client. Fills in the provider's login and consent pages where it shows them; `pages` of the answer
   * tells which. `prompt` and `max_age` go to the provider.
   */
  async signIn(client_id, user, { prompt, max_age } = {}) {
    const verifier = randomBytes(32).toString("base64url");
    const question = new URLSearchParams({
      client_id,
      response_type: "code",
      scope: "openid",
      redirect_uri: CALLBACK,
      resource: AUDIENCE,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
      ...(prompt && { prompt }),
      ...(max_age !== undefined && { max_age }),
    });
    const pages = [];
    let answer = await this.#get(`${this.#issuer}/auth?${question}`);
    while (answer.page) {
      const { action, fields } = form(answer.page);
      pages.push(fields.prompt);
      answer = await this.#post(action, fields.prompt === "login" ? { ...fields, login: user, password: "any" } : fields);
    }
    const code = answer.left.searchParams.get("code");
    assert.ok(code, `the provider sent the browser to ${answer.left}`);
    const given = { grant_type: "authorization_code", code, redirect_uri: CALLBACK, code_verifier: verifier };
    return { pages, client_id, ...(await this.#tokens({ client_id, ...given })) };
  }

  /** A new access token for the refresh token of a sign-in. */
  async refresh({ client_id, refresh_token }) {
    return { client_id, ...(await this.#tokens({ client_id, grant_type: "refresh_token", refresh_token })) };
  }

  /** Signs out of the provider and all of its clients. */
  async signOut() {
    const { action, fields } = form((await this.#get(`${this.#issuer}/session/end`)).page);
    await this.#post(action, { ...fields, logout: "yes" });
  }

  async #tokens(given) {
    const response = await fetch(`${this.#issuer}/token`, { method: "POST", body: new URLSearchParams(given) });
    const tokens = await response.json();
    assert.equal(response.status, 200, JSON.stringify(tokens));
    return tokens;
  }

  #get(url) {
    return this.#go(url, {});
  }

  #post(url, fields) {
    return this.#go(url, { method: "POST", body: new URLSearchParams(fields) });
  }

  /** Follows redirects to a page of the provider, or to a place elsewhere, at which it stops. */
  async #go(url, request) {
    let target = new URL(url, this.#issuer);
    while (target.origin === this.#issuer) {
      const response = await fetch(target, { ...request, headers: { cookie: this.#cookieHeader() }, redirect: "manual" });
      this.#keepCookies(response);
      const page = await response.text();
      assert.ok(response.status < 400, `${target}: ${response.status} ${page}`);
      if (response.status === 200) return { page };
      target = new URL(response.headers.get("location"), target);
      request = {};
    }
    return { left: target };
  }

  #cookieHeader() {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  #keepCookies(response) {
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value) this.#cookies.set(name, value);
      else this.#cookies.delete(name);
    }
  }
}

/** Where a page's form goes, and what it sends along unseen. */
function form(page) {
  const [, action] = /<form[^>]*action="([^"]+)"/.exec(page) ?? assert.fail(`no form in ${page}`);
  const hidden = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g);
  return { action, fields: Object.fromEntries([...hidden].map(([, name, value]) => [name, value])) };
}
