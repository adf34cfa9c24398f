/** An application with an axios instance keeps it. */

import type { AxiosInstance } from "axios";
import { sessionsClient, type Auth, type SessionsClient } from "sessions-client";
import { authenticate, throughAxios } from "sessions-client/axios";

/** The instance has no interceptors for tokens: these add the token, refresh it, and sign out, on every route. */
export function withoutInterceptors(http: AxiosInstance, baseUrl: string, auth: Auth): SessionsClient {
  authenticate(http, auth);
  return sessionsClient({ baseUrl, auth });
}

/** The instance adds the token and refreshes it by itself. Who is signed in must be known all the same. */
export function withInterceptors(http: AxiosInstance, baseUrl: string, user: Auth["user"]): SessionsClient {
  return sessionsClient({ baseUrl, auth: { user }, transport: throughAxios(http) });
}
