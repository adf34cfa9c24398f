import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";
import type { EndedSession, Session, UserId } from "sessions-client";
import { useSessions } from "./api";
import { historyOf, keyOf, liveOf } from "./queries";
import { endingOf, saidOf, timeOf } from "./texts";

interface Props {
  userId: UserId;
  onClose: () => void;
}

/** Where a user is signed in, with a button to end each session, and the history. */
export function SessionsDialog(props: Props) {
  const { me } = useSessions();
  // Another user is another dialog: nothing of the one is shown for the other, and no button ends it.
  return <DialogOfUser key={`${me} ${props.userId}`} {...props} />;
}

function DialogOfUser({ userId, onClose }: Props) {
  const { api, me } = useSessions();
  const [dialog, heading] = [useRef<HTMLDialogElement>(null), useRef<HTMLHeadingElement>(null)];
  const title = useId();
  const [asked, setAsked] = useState<readonly Session[]>();
  const [outcome, setOutcome] = useState<string>();
  const live = useQuery(liveOf(api, me, userId));
  const preview = useMutation({ mutationFn: () => api.admin.previewEndAll(userId), onSuccess: ask });

  useEffect(() => dialog.current?.showModal(), []);

  /** The button that had the focus is gone, so the heading takes it. */
  function back(outcome?: string) {
    setAsked(undefined);
    setOutcome(outcome);
    heading.current?.focus();
  }

  function ask(sessions: readonly Session[]) {
    preview.reset();
    setOutcome(sessions.length ? undefined : "Nothing was left to end.");
    setAsked(sessions.length ? sessions : undefined);
  }

  const failure = preview.error ?? live.error;
  return (
    <dialog ref={dialog} aria-labelledby={title} aria-busy={live.isFetching || preview.isPending} onClose={onClose}>
      <h2 id={title} ref={heading} tabIndex={-1}>
        Sessions of user {userId}
      </h2>
      <p role="status">{outcome}</p>
      {failure && <p role="alert">{saidOf(failure)}</p>}
      {asked ? (
        <Question userId={userId} sessions={asked} onDone={back} />
      ) : (
        <>
          {live.data && <LiveSessions sessions={live.data} onEnd={(session) => ask([session])} />}
          {live.data && live.data.length > 1 && <button onClick={() => preview.mutate()}>End all</button>}
          <History userId={userId} someLive={live.data && live.data.length > 0} />
        </>
      )}
      <button onClick={() => dialog.current?.close()}>Close</button>
    </dialog>
  );
}

function LiveSessions({ sessions, onEnd }: { sessions: readonly Session[]; onEnd: (session: Session) => void }) {
  return (
    <ul aria-label="Signed in">
      {sessions.map((session) => (
        <li key={session.id}>
          <Device session={session} />
          <button aria-label={`End: ${nameOf(session)}`} onClick={() => onEnd(session)}>
            End
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Tells sessions apart that are alike. */
function nameOf({ device_name, ip_address, created_at }: Session): string {
  return `${device_name}, ${ip_address}, signed in ${timeOf(created_at)}`;
}

function Device({ session }: { session: Session }) {
  const { device_name, ip_address, signed_in_ip, created_at, last_activity } = session;
  return (
    <span>
      {/* The client chose this name, so it must not change the direction of the text around it. */}
      <bdi>{device_name}</bdi>, {ip_address}
      {signed_in_ip && signed_in_ip !== ip_address && ` (signed in from ${signed_in_ip})`}, signed in{" "}
      {timeOf(created_at)}, last active {timeOf(last_activity)}
    </span>
  );
}

/** Says what will end, and ends that: no session that began since then. */
function Question({ userId, sessions, onDone }: {
  userId: UserId;
  sessions: readonly Session[];
  onDone: (outcome?: string) => void;
}) {
  const { api, me } = useSessions();
  const queries = useQueryClient();
  const [reason, cancel] = [useRef<HTMLInputElement>(null), useRef<HTMLButtonElement>(null)];
  const end = useMutation({
    mutationFn: () => api.admin.endSome(userId, sessions.map(({ id }) => id), { reason: reason.current?.value || undefined }),
    onSuccess: (ended) => onDone(ended.map(outcomeOf).join(" ")),
    onSettled: () => queries.invalidateQueries({ queryKey: keyOf(me, userId) }),
  });
  const count = sessions.length === 1 ? "1 session" : `${sessions.length} sessions`;

  // Enter must not end anything before the question has been read.
  useEffect(() => cancel.current?.focus(), []);

  return (
    <form
      aria-busy={end.isPending}
      onSubmit={(event) => {
        event.preventDefault();
        if (!end.isPending) end.mutate();
      }}
    >
      <p>
        End {count} of user {userId}? These are signed out at once:
      </p>
      <ul aria-label="What will end">
        {sessions.map((session) => (
          <li key={session.id}>
            <Device session={session} />
          </li>
        ))}
      </ul>
      <label>
        Reason <input ref={reason} maxLength={256} />
      </label>
      {end.error && <p role="alert">{saidOf(end.error)}</p>}
      <button type="button" ref={cancel} onClick={() => onDone()}>
        Cancel
      </button>
      <button aria-disabled={end.isPending}>End {count}</button>
    </form>
  );
}

function outcomeOf({ session, alreadyEnded }: { session: EndedSession; alreadyEnded: boolean }): string {
  if (!alreadyEnded) return `${session.device_name} is signed out.`;
  const note = session.end_note === null ? "" : ` (${session.end_note})`;
  return `${session.device_name} had ended already: ${endingOf(session)}${note}, ${timeOf(session.ended_at)}. Your reason is not stored.`;
}

/** What has ended. Whether anything is stored of the user also says what an empty list of devices means. */
function History({ userId, someLive }: { userId: UserId; someLive: boolean | undefined }) {
  const { api, me } = useSessions();
  const history = useInfiniteQuery(historyOf(api, me, userId));
  if (history.error) return <p role="alert">{saidOf(history.error)}</p>;
  if (!history.data || someLive === undefined) return <p>Loading…</p>;
  const stored = history.data.pages.flatMap(({ sessions }) => sessions);
  const ended = stored.filter((session): session is EndedSession => !session.is_active);
  if (!someLive && !stored.length) return <p>No session of a user with the ID {userId} is stored. Check the ID.</p>;
  return (
    <>
      {!someLive && <p>This user is not signed in anywhere.</p>}
      <h3>History</h3>
      <ul aria-label="History">
        {ended.map((session) => (
          <li key={session.id}>
            <Device session={session} />, {endingOf(session)} {timeOf(session.ended_at)}
          </li>
        ))}
      </ul>
      {history.hasNextPage && (
        <button aria-disabled={history.isFetchingNextPage} onClick={() => history.fetchNextPage()}>
          Show older
        </button>
      )}
    </>
  );
}
