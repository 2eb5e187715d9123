/** Reads the words of a configuration; the words themselves are the contract's. */
import { EDGE_CONFIG_BYTES_MAX, EdgeConfig } from "../../contracts/edge-config.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { ConfigRefused } from "../config/refused.ts";

const refused = (message: string): ConfigRefused => new ConfigRefused([{ path: "", message }]);

/** Any JSON value as a configuration. Throws ConfigRefused. */
export const configOf = (value: unknown): EdgeConfig => {
  const parsed = EdgeConfig.safeParse(value);
  if (!parsed.success) throw new ConfigRefused(fieldErrors(parsed.error));
  return parsed.data;
};

/** The place of a JSON error, without the text around it: that could be a key. */
const placeOf = (error: unknown): string => {
  const [place] = /line \d+ column \d+/.exec(String(error)) ?? [];
  return place === undefined ? "" : ` (${place})`;
};

/** The text of an edge.json. Throws ConfigRefused. */
export const parseConfigText = (text: string): EdgeConfig => {
  if (Buffer.byteLength(text) > EDGE_CONFIG_BYTES_MAX) throw refused(`is larger than ${EDGE_CONFIG_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refused(`is not JSON${placeOf(error)}`);
  }
  return configOf(value);
};
