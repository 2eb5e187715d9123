/** Host names of certificates and of handshakes (RFC 9525 §6.3). Pure. */

const DNS_NAME = /^(?:\*\.)?(?:[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d])?\.)*[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d])?$/;

/** The DNS names of a certificate's subjectAltName as node:crypto shows it, lower-case. */
export const dnsNamesOf = (subjectAltName: string | undefined): string[] => {
  const names = (subjectAltName ?? "").split(", ").flatMap((part) => {
    const name = part.startsWith("DNS:") ? part.slice(4).toLowerCase() : "";
    return DNS_NAME.test(name) ? [name] : []; // quoted ones have characters that no host name has
  });
  return [...new Set(names)];
};

/** Where a name may stand, the best first: as it is, then with `*` for its first label. */
export const namesToTry = (serverName: string): readonly string[] => {
  const name = serverName.toLowerCase().replace(/\.$/, "");
  const dot = name.indexOf(".");
  return dot > 0 ? [name, `*${name.slice(dot)}`] : [name];
};
