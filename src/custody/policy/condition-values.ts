import { isIPv4, isIPv6 } from "node:net";

/**
 * Unix seconds of a date in a policy: `2026-11-21`, `2026-11-21T08:30Z`, `2026-11-21T08:30:15+08:00` (W3C date and time
 * formats) or 9 to 11 digits of Unix seconds. Undefined for anything else, impossible days included.
 */
export function parsePolicyDate(text: string): number | undefined {
  if (/^[0-9]{9,11}$/.test(text)) return Number(text);
  const match = /^([0-9]{4}-[0-9]{2}-[0-9]{2})(T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, day = "", time = "T00:00Z"] = match;
  const midnightMs = Date.parse(`${day}T00:00Z`);
  if (Number.isNaN(midnightMs) || new Date(midnightMs).toISOString().slice(0, 10) !== day) return undefined;
  const ms = Date.parse(day + time);
  return Number.isNaN(ms) || time.startsWith("T24") ? undefined : ms / 1000;
}

/** A decimal number of at most 15 whole and 6 fractional digits. */
export function parsePolicyNumber(text: string): number | undefined {
  return /^-?[0-9]{1,15}(?:\.[0-9]{1,6})?$/.test(text) ? Number(text) : undefined;
}

/** `true` or `false`, in any case. */
export function parsePolicyBool(text: string): boolean | undefined {
  const folded = text.length <= 5 ? text.toLowerCase() : "";
  return folded === "true" ? true : folded === "false" ? false : undefined;
}

/** Addresses that share the first `prefixBits` bits with `address`. */
export interface IpRange {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly prefixBits: number;
}

/**
 * Reads an address or a CIDR range, IPv4 or IPv6. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4
 * address. Without a prefix, the one address.
 */
export function parseIpRange(text: string): IpRange | undefined {
  const match = /^([0-9a-fA-F:.]{2,45})(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, host = "", prefix] = match;
  const raw = rawAddress(host);
  if (raw === undefined) return undefined;
  const prefixBits = prefix === undefined ? raw.length * 8 : Number(prefix);
  if (prefixBits > raw.length * 8) return undefined;
  if (isMappedIPv4(raw) && prefixBits >= mappedBits)
    return { address: raw.subarray(12), prefixBits: prefixBits - mappedBits };
  return { address: raw, prefixBits };
}

/** The bytes of a peer's address (a zone such as `%eth0` is cut off); undefined when it is none. */
export function parseIpAddress(text: string): Uint8Array | undefined {
  const raw = rawAddress(text.split("%", 1)[0] ?? "");
  return raw !== undefined && isMappedIPv4(raw) ? raw.subarray(12) : raw;
}

export function ipRangeHolds(range: IpRange, address: Uint8Array): boolean {
  if (address.length !== range.address.length) return false;
  for (let index = 0, bits = range.prefixBits; bits > 0; index += 1, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if ((((address[index] ?? 0) ^ (range.address[index] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

const mappedBits = 96;

function isMappedIPv4(raw: Uint8Array): boolean {
  return raw.length === 16 && raw[10] === 0xff && raw[11] === 0xff && raw.subarray(0, 10).every((byte) => byte === 0);
}

function rawAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const lastColon = text.lastIndexOf(":");
  const tail = text.slice(lastColon + 1);
  const inGroups = tail.includes(".") ? text.slice(0, lastColon + 1) + dottedAsGroups(tail) : text;
  const [head = "", rest] = inGroups.split("::");
  const left = groupsOf(head);
  const right = rest === undefined ? [] : groupsOf(rest);
  const groups = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

function dottedAsGroups(text: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}
