// The same story with each generated client: list the sessions of a user, end one, and see a refusal. The compiler
// checks that `is_active` tells live sessions from ended ones and that every answer and error has its type.
import assert from "node:assert/strict";
import axios, { type AxiosResponse } from "axios";
import createClient from "openapi-fetch";
import { endUserSession, listUserSessions, type GatewayMessage, type Problem, type Session } from "./hey-api";
import { client } from "./hey-api/client.gen";
import * as orval from "./orval";
import type { components, paths } from "./openapi-typescript";

const baseUrl = process.env.API_URL!;
const headers = { Authorization: `Bearer ${process.env.ADMIN}` };

type AnySession = Session | orval.Session | components["schemas"]["Session"];
type AnyError = Problem | GatewayMessage | orval.Problem | components["schemas"]["Problem"];

function state(session: AnySession): string {
  const active: boolean = session.is_active;
  assert.equal(typeof active, "boolean");
  return session.is_active ? `live until ${session.expires_at}` : `${session.end_reason} by ${session.ended_by}`;
}

function code(error: AnyError | undefined): string | undefined {
  return error && ("code" in error ? error.code : error.message);
}

/** Checks a list with live sessions, the answer to ending one of them, and the error code of a bad user id. */
function check(name: string, listed: AnySession[] | undefined, ended: AnySession | undefined, refused: string | undefined) {
  const live = listed?.[0];
  assert(live?.is_active && state(live).startsWith("live until 20"), name);
  assert(ended && !ended.is_active, name);
  assert.equal(state(ended), "revoked_by_admin by 1", name);
  assert.equal(refused, "bad_user_id", name);
  console.log(`${name}: lists, ends and is refused`);
}

async function withOpenApiTypescript() {
  const api = createClient<paths>({ baseUrl, headers });
  const { data: listed } = await api.GET("/sessions/user/{user_id}", { params: { path: { user_id: 74 } } });
  const path = { user_id: "74", session_id: listed![0]!.id };
  const { data: ended } = await api.DELETE("/sessions/user/{user_id}/session/{session_id}", { params: { path } });
  const { error } = await api.GET("/sessions/user/{user_id}", { params: { path: { user_id: "%" } } });
  check("openapi-typescript", listed, ended?.session, code(error));
}

async function withHeyApi() {
  client.setConfig({ baseUrl, headers });
  const { data: listed } = await listUserSessions({ path: { user_id: 74 } });
  const path = { user_id: "74", session_id: listed![0]!.id };
  const { data: ended } = await endUserSession({ path, query: { reason: "lost phone" } });
  const { error } = await listUserSessions({ path: { user_id: "%" } });
  check("hey-api", listed, ended?.session, code(error));
}

async function withOrval() {
  Object.assign(axios.defaults, { baseURL: baseUrl, headers });
  const { data: listed } = await orval.listUserSessions(74);
  const { data: ended } = await orval.endUserSession("74", listed[0]!.id);
  const refused: AxiosResponse<unknown> = await orval.listUserSessions("%25", {}, { validateStatus: null });
  check("orval", listed, ended.session, code(refused.data as orval.Problem | orval.GatewayMessage));
}

async function main() {
  await withOpenApiTypescript();
  await withHeyApi();
  await withOrval();
}

void main();
