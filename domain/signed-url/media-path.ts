/** What stands behind `/api/media/`, once the token is taken out: which object of a packager, or whose answer. Pure. */

export type MediaRoute =
  /** A packager's, at its inner path; the same bytes for all who may have them. */
  | { readonly kind: "object"; readonly contentId: string; readonly target: string; readonly isOpen: boolean }
  /** A content key: for one viewer. */
  | { readonly kind: "key"; readonly contentId: string; readonly generation: number }
  /** ClearKey licences (W3C EME §9.1.4): POSTed for. */
  | { readonly kind: "licence"; readonly contentId: string }
  /** A player that still plays. */
  | { readonly kind: "heartbeat" };

export const MEDIA_ROOT = "/api/media/";

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const PACKAGED = new RegExp(`^/api/media/(hls|dash)/(${UUID})/([^/].*)$`);
const PICTURES = new RegExp(`^/api/media/(images|previews)/(${UUID})/([^/].*)$`);
const KEY = /^key\.([1-9]\d{0,8})\.bin$/;

/** What a session may have that is bound to so many lines of the picture: an object of its own for each bound. */
export const boundRoute = (route: MediaRoute, maxHeight: number | null): MediaRoute =>
  route.kind !== "object" || route.isOpen || maxHeight === null
    ? route
    : { ...route, target: `/upto/${maxHeight}${route.target}` };

/**
 * The route of a path in normal form; null: there is nothing at this address. Without a token (`hasToken`) only what is
 * public is there, and pictures, which need none.
 */
export const mediaRoute = (path: string, hasToken: boolean): MediaRoute | null => {
  const [, form, contentId, rest] = PACKAGED.exec(path) ?? [];
  if (form !== undefined && contentId !== undefined && rest !== undefined) {
    const [, generation] = KEY.exec(rest) ?? [];
    if (generation !== undefined) return { kind: "key", contentId, generation: Number(generation) };
    if (form === "dash" && rest === "clearkey") return { kind: "licence", contentId };
    const target = `${hasToken ? "" : "/public"}/${form}/${contentId}/${rest}`;
    return { kind: "object", contentId, target, isOpen: !hasToken };
  }
  const [, kind, pictured, name] = PICTURES.exec(path) ?? [];
  if (kind !== undefined && pictured !== undefined && name !== undefined) {
    return { kind: "object", contentId: pictured, target: `/${kind}/${pictured}/${name}`, isOpen: true };
  }
  return hasToken && path === `${MEDIA_ROOT}heartbeat` ? { kind: "heartbeat" } : null;
};
