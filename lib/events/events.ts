/** The door of this folder. */
export { jetStreamEvents } from "./jetstream-events.ts";
export { pgEvents } from "./pg-events.ts";
export { type Depth, type EventBus, type EventHandler, type FactEvent, publishFact } from "./port.ts";
