/** What the error catalogue says of each error. */
export type FaultOf = "client" | "server" | "upstream";

export interface ErrorEntry {
  readonly status: number;
  readonly fault: FaultOf;
  readonly retry: boolean;
  /** Sentence with `{name}` places that are filled from the error's data. */
  readonly message: string;
}
