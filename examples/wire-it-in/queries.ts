/** The client with TanStack Query. */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import type { SessionsClient, UserId } from "sessions-client";

/** What is cached belongs to who asked, too: the next admin must not see it. */
export const keyOf = (me: UserId, user: UserId) => ["sessions", String(me), String(user)] as const;

/** The live sessions of a user. The client repeats by itself, so the query does not. */
export function liveOf(api: SessionsClient, me: UserId, user: UserId) {
  return queryOptions({
    queryKey: [...keyOf(me, user), "live"],
    queryFn: ({ signal }) => api.admin.list(user, { signal }),
    retry: false,
  });
}

/** Live and ended sessions, a page at a time. */
export function historyOf(api: SessionsClient, me: UserId, user: UserId, limit = 50) {
  return infiniteQueryOptions({
    queryKey: [...keyOf(me, user), "history", limit],
    queryFn: ({ signal, pageParam }) => api.admin.historyPage(user, { signal, limit, cursor: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next }) => next,
    retry: false,
  });
}
