/**
 * IP addresses as numbers: which of them lie in private or otherwise unroutable networks. Pure; no name is resolved
 * here.
 */

/** `value` has `bits` bits: 32 of an IPv4 address, 128 of an IPv6 one. */
export interface IpAddress {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

const parseIp4 = (text: string): bigint | null => {
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((octet) => /^(?:0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256)) {
    return null;
  }
  return octets.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
};

/** An embedded IPv4 tail (RFC 4291 §2.2, form 3) as two groups. */
const withoutIp4Tail = (text: string): string | null => {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (!tail) return text;
  const value = parseIp4(tail[2] ?? "");
  return value === null ? null : `${tail[1]}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
};

const parseIp6 = (text: string): bigint | null => {
  const plain = withoutIp4Tail(text);
  if (plain === null) return null;
  const halves = plain.split("::");
  if (halves.length > 2) return null;
  const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
};

/**
 * An address in its textual form, with or without the brackets of a URL; a zone (`%eth0`) is left out. Null: not one.
 */
export const parseIp = (text: string): IpAddress | null => {
  const ip4 = parseIp4(text);
  if (ip4 !== null) return { bits: 32, value: ip4 };
  const bare = text.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  const ip6 = bare.includes(":") ? parseIp6(bare) : null;
  return ip6 === null ? null : { bits: 128, value: ip6 };
};

export interface Network {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/** `10.0.0.0/8`, or one address. Null: not a network. */
export const parseNetwork = (text: string): Network | null => {
  const [host = "", length] = text.split("/");
  const address = parseIp(host);
  if (address === null) return null;
  const prefixLength = length === undefined ? address.bits : Number(length);
  const fits = Number.isInteger(prefixLength) && prefixLength >= 0 && prefixLength <= address.bits;
  return fits ? { address, prefixLength } : null;
};

export const isInNetwork = (address: IpAddress, network: Network): boolean => {
  if (address.bits !== network.address.bits) return false;
  const shift = BigInt(address.bits - network.prefixLength);
  return address.value >> shift === network.address.value >> shift;
};

const networks = (...texts: string[]): Network[] => texts.map((text) => parseNetwork(text)!);
// IANA special-purpose registries: whatever is not globally reachable, and multicast.
const PRIVATE = networks(
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/127",
  "64:ff9b:1::/48",
  "100::/64",
  "2001::/23", // with Teredo, whose addresses carry an IPv4 one
  "2001:db8::/32",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
);
/** Networks whose addresses carry an IPv4 address, and how far it lies from the right. */
const CARRIERS = [
  { network: parseNetwork("::/96")!, shift: 0n },
  { network: parseNetwork("::ffff:0:0/96")!, shift: 0n },
  { network: parseNetwork("64:ff9b::/96")!, shift: 0n },
  { network: parseNetwork("2002::/16")!, shift: 80n },
];
const MULTICAST = networks("224.0.0.0/4", "ff00::/8");

/** The address that a mapped, translated or 6to4 address leads to. */
const carried = (address: IpAddress): IpAddress => {
  const carrier = CARRIERS.find(({ network }) => isInNetwork(address, network));
  return carrier ? { bits: 32, value: (address.value >> carrier.shift) & 0xffff_ffffn } : address;
};

/** True for everything that is not a public unicast address, and for text that is no address at all. */
export const isPrivateAddress = (text: string): boolean => {
  const address = parseIp(text);
  if (address === null) return true;
  return [address, carried(address)].some((ip) => PRIVATE.some((network) => isInNetwork(ip, network)));
};

export const isMulticastAddress = (text: string): boolean => {
  const address = parseIp(text);
  return address !== null && MULTICAST.some((network) => isInNetwork(address, network));
};

/** True when one of the networks (`10.0.0.0/8`) has the address; a mapped IPv4 address counts as the IPv4 one. */
export const isAllowedAddress = (text: string, allowed: readonly string[]): boolean => {
  const address = parseIp(text);
  if (address === null) return false;
  return allowed.some((entry) => {
    const network = parseNetwork(entry);
    return network !== null && [address, carried(address)].some((ip) => isInNetwork(ip, network));
  });
};
