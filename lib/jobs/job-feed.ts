import { Listener } from "../db/listener.ts";
import { JOB_CHANNEL } from "./job.store.ts";

export interface JobChange {
  readonly tenantId: string;
  readonly jobId: string;
  readonly subject: { readonly kind: string; readonly id: string } | null;
}

/** `tenant job subjectKind subjectId`; an id may hold spaces, a kind does not. */
const changeOf = (payload: string): JobChange => {
  const [tenantId = "", jobId = "", kind, ...rest] = payload.split(" ");
  return { tenantId, jobId, subject: kind === undefined ? null : { kind, id: rest.join(" ") } };
};

/** Hears from the database which jobs changed; who depends on it polls besides. */
export const jobFeed = (url: string, onChange: (change: JobChange) => void): Listener =>
  new Listener({ url, channel: JOB_CHANNEL, onPayload: (payload) => onChange(changeOf(payload)) });
