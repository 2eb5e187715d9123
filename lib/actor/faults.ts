/** Between Moleculer's errors and the catalogue: what crosses the bus is told apart by code and type, not by class. */
import type { ServiceBroker } from "moleculer";
import { codeOf, Fault, type FaultData } from "../../contracts/errors.ts";

interface Crossed {
  readonly type?: unknown;
  readonly code?: unknown;
  readonly data?: unknown;
}
const fieldsOf = (error: unknown): Crossed => (typeof error === "object" && error !== null ? error : {});
const dataOf = (data: unknown): FaultData =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? (data as FaultData) : {};

/** True when the callee was never reached, or its node went away before it had answered. */
export const isNodeGone = (error: unknown): boolean => {
  const { type } = fieldsOf(error);
  return type === "REQUEST_REJECTED" || isNotThere(error);
};

/** True when nobody started on the call: sending it again can't do the work twice. */
export const isNotThere = (error: unknown): boolean => {
  const { type } = fieldsOf(error);
  return type === "SERVICE_NOT_AVAILABLE" || type === "SERVICE_NOT_FOUND";
};

/** True when no answer came in time. */
export const isLate = (error: unknown): boolean => fieldsOf(error).type === "REQUEST_TIMEOUT";

interface BusState {
  readonly transit?: { readonly tx: { readonly connected: boolean } };
}
/** False while this process has a bus and can't reach it; a process without one needs none. */
export const isBusUp = (broker: ServiceBroker): boolean => {
  const { transit } = broker as unknown as BusState;
  return transit === undefined || transit === null || transit.tx.connected;
};

/** The fault of anything thrown by a call named `what`; undefined for a bug. */
export const faultOf = (error: unknown, what: string, broker: ServiceBroker): Fault | undefined => {
  if (error instanceof Fault) return error;
  const { type, data } = fieldsOf(error);
  const code = codeOf(error);
  if (code !== undefined) return new Fault(code, dataOf(data));
  switch (type) {
    case "REQUEST_TIMEOUT":
    case "REQUEST_SKIPPED":
      return new Fault(isBusUp(broker) ? "DEADLINE_PASSED" : "BUS_DOWN", { what });
    case "REQUEST_REJECTED":
      return new Fault("DEADLINE_PASSED", { what });
    case "SERVICE_NOT_FOUND":
    case "SERVICE_NOT_AVAILABLE":
      return new Fault(isBusUp(broker) ? "STARTING" : "BUS_DOWN", { what });
    case "BAD_GATEWAY":
      return new Fault("BUS_DOWN");
    case "QUEUE_FULL":
      return new Fault("MAILBOX_FULL", { key: what });
    default:
      return undefined;
  }
};
