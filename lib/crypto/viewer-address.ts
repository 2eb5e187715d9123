/**
 * An edge tells a gateway whose request it passes on: who can reach a gateway could claim any address, so that what an
 * edge says is signed with a secret that edges and gateways have from the platform (HMAC-SHA256).
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** Of the header field; lower-case. */
export const VIEWER_FIELD = "castellan-viewer";
const VALID_MS = 60_000;
const FORM = /^([0-9A-Fa-f.:%a-z]{2,64}) ([1-9]\d{12}) ([A-Za-z0-9_-]{43})$/;

const mac = (secret: string, address: string, atMs: string): Buffer =>
  createHmac("sha256", Buffer.from(secret, "base64url")).update(`castellan-viewer\n${address}\n${atMs}`).digest();

/** `secret`: base64url. */
export const signViewer = (secret: string, address: string, nowMs: number): string =>
  `${address} ${nowMs} ${mac(secret, address, String(nowMs)).toString("base64url")}`;

/** The address that was signed with one of these secrets lately; undefined for anything else. */
export const viewerIn = (field: string | undefined, secrets: readonly string[], nowMs: number): string | undefined => {
  const [, address, atMs, given] = FORM.exec(field ?? "") ?? [];
  if (address === undefined || atMs === undefined || given === undefined) return undefined;
  if (Math.abs(nowMs - Number(atMs)) > VALID_MS) return undefined;
  const bytes = Buffer.from(given, "base64url");
  return secrets.some((secret) => timingSafeEqual(bytes, mac(secret, address, atMs))) ? address : undefined;
};
