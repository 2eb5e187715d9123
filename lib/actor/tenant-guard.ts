import type { Middleware } from "moleculer";
import type { Call, Meta } from "./contract.ts";

/** Mark in the options of a call that was made by `send`. */
export interface FromContract {
  readonly fromContract?: true;
}
type Handler = (call: Call) => Promise<unknown>;

/**
 * Moleculer copies a callee's whole meta into its caller's when a call returns, also when it fails. `send` does not
 * take part in that; for calls that are made without it, and on the wire, this middleware sees to it that nothing comes
 * back.
 */
export const tenantGuard: Middleware = {
  name: "TenantGuard",
  localAction: (next: Handler) => async (call: Call) => {
    const sent: Meta = { ...call.meta };
    try {
      return await next(call);
    } finally {
      // Reads as before, for work that goes on after the answer; but has no fields of its own that could be copied.
      call.meta = Object.create(sent);
    }
  },
  remoteAction: (next: Handler) => (call: Call) => {
    if ((call.options as FromContract).fromContract) return next(call);
    const sent: Meta = { ...call.meta };
    return next(call).finally(() => {
      call.meta = sent;
    });
  },
};
