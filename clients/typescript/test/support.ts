/** Front ends, tokens and stubs for the tests. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { isProblem, sessionsClient, type Auth, type Options, type SessionsProblem, type SignedIn } from "sessions-client";

export const API = process.env["API_URL"] ?? "";

/** A token as the back end would issue it. */
export function token(user: string, ...options: string[]): string {
  return execFileSync(process.env["LOCAL"] ?? "", ["token", "--user", user, ...options], { encoding: "utf8" }).trim();
}

/** What a front end does and sees: who is signed in, and what was asked of it. */
export interface FrontEnd {
  auth: Auth;
  seen: { refreshes: number; signedOut: string[]; waits: number[] };
  /** Somebody else signs in. */
  signIn(user: string, token: string): void;
}

/** A front end with these tokens: the first, and those that the back end hands out at each refresh. */
export function frontEnd(first: string, fresh: string[] = [], user = "somebody"): FrontEnd {
  const seen = { refreshes: 0, signedOut: [] as string[], waits: [] as number[] };
  let current: { user: string; token: string } | undefined = { user, token: first };
  const auth: Auth = {
    user: () => current?.user,
    token: () => current?.token ?? "",
    refresh() {
      seen.refreshes += 1;
      const token = fresh.shift();
      if (current && token !== undefined) current.token = token;
      return Promise.resolve(token !== undefined);
    },
    signOut({ message }) {
      seen.signedOut.push(message);
      current = undefined;
    },
  };
  return { auth, seen, signIn: (user, token) => (current = { user, token }) };
}

/** The client of a front end. It notes what it would wait for; `meanwhile` happens then. */
export function clientOf({ auth, seen }: FrontEnd, more: Partial<Options> = {}, meanwhile: () => void = () => undefined) {
  const wait = (milliseconds: number) => {
    seen.waits.push(milliseconds);
    meanwhile();
    return Promise.resolve();
  };
  return sessionsClient({ baseUrl: API, auth, wait, ...more });
}

export const admin = () => clientOf(frontEnd(token("1", "--role", "admin"))).admin;

let devices = 0;

/** Signs a user in on a new device, and gives the session and a token that names it. */
export async function signIn(user: string): Promise<{ session: SignedIn; token: string }> {
  const { own } = clientOf(frontEnd(token(user, "--expires-in", String(1000 + devices))));
  const session = await own.create({ device_fingerprint: `device ${devices++}` });
  return { session, token: token(user, "--sid", session.id) };
}

/** The problem that a call ends with. */
export async function problem(call: Promise<unknown>): Promise<SessionsProblem> {
  const error: unknown = await call.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => error,
  );
  if (!isProblem(error)) throw error;
  return error;
}

/** What a stub answers. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

export const TOO_MANY: Answer = { status: 429, body: { message: "Too Many Requests" } };
export const UNAVAILABLE: Answer = { status: 503, headers: { "Retry-After": "7" }, body: { message: "Service Unavailable" } };
export const NOTHING: Answer = { status: 200, body: [] };

export function refusal(status: number, code: string, detail: string, more: object = {}): Answer {
  return { status, body: { status, code, detail, request_id: "r-1", ...more } };
}

export const EXPIRED = refusal(401, "token_expired", "The token has expired");

/** A service that answers as the test wants. */
export async function withStub(
  answer: (request: IncomingMessage, body: string) => Answer | Promise<Answer>,
  story: (url: string) => Promise<void>,
): Promise<void> {
  const stub = createServer((request, response) => {
    void (async () => {
      let sent = "";
      for await (const part of request) sent += String(part);
      const { status, headers, body } = await answer(request, sent);
      response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
    })();
  });
  await new Promise<void>((listening) => stub.listen(0, "127.0.0.1", listening));
  try {
    await story(`http://127.0.0.1:${(stub.address() as AddressInfo).port}`);
  } finally {
    stub.closeAllConnections();
    stub.close();
  }
}
