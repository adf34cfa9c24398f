/** A client of the session service. */

export type { Auth } from "./auth.js";
export type { components, operations, paths } from "./openapi.js";
export { isProblem, SessionsProblem, type Code, type More, type OwnCode, type RawAnswer, type ServiceCode } from "./problem.js";
export { throughFetch, type CallOptions, type Options, type RawRequest, type Transport } from "./request.js";
export * from "./sessions.js";
