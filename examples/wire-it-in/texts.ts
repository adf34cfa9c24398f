/** Every word that a user reads, by `code` and `end_reason`. Nothing of it comes from the service: translate it here. */

import { isProblem, type Code, type EndedSession } from "sessions-client";

const PROBLEMS: Partial<Record<Code, string>> = {
  admin_only: "Only admins can see and end other users' sessions.",
  own_sessions: "These are your own sessions. You find them in your profile.",
  user_not_found: "There is no such user.",
  session_not_found: "This session is not stored any more.",
  session_ended: "You have been signed out on this device.",
  user_locked: "Your account is locked.",
  token_expired: "You have been signed in for too long. Sign in again.",
  too_many_sessions: "You are signed in on too many devices. Sign out on one of them first.",
  bad_reason: "The reason is too long, or has characters that cannot be stored.",
  store_unavailable: "The sessions cannot be reached at the moment. Nothing is confirmed; try again.",
  throttled: "There are too many requests at the moment. Try again in a little while.",
  unreachable: "There is no connection. Nothing is confirmed; try again.",
};

const ENDINGS: Record<EndedSession["end_reason"], string> = {
  revoked_by_admin: "ended by an admin",
  revoked_by_service: "ended by the system",
  revoked_by_user: "ended by the user",
  logout: "signed out",
  logout_all: "signed out, with other devices",
  evicted: "gave way to a newer sign-in",
  expired: "expired",
  logged_out_at_provider: "signed out at the identity provider",
};

/** What to say of a failure. The id helps the support to find it in the service's log. */
export function saidOf(error: unknown): string {
  if (!isProblem(error)) return "Something went wrong.";
  const text = PROBLEMS[error.code] ?? "Something went wrong.";
  return error.requestId ? `${text} (${error.requestId})` : text;
}

/** How a session ended. A newer service may know more reasons. */
export function endingOf({ end_reason: reason }: EndedSession): string {
  return ENDINGS[reason] ?? "ended";
}

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time as the browser's user writes it. */
export function timeOf(text: string): string {
  return date.format(new Date(text));
}
