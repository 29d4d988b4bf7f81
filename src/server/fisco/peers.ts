import { BlockList, isIP } from "node:net";

/** The addresses of this machine itself: what is allowed when an operator names nothing else. */
export const loopbackOnly: readonly string[] = ["127.0.0.0/8", "::1"];

/** Which peers may talk to a door: addresses and CIDR blocks. */
export class PeerList {
  readonly #blocks = new BlockList();

  /**
   * @param blocks - `10.1.2.3`, `10.0.0.0/8`, `::1`, `fd00::/8`.
   * @throws {RangeError} For anything else.
   */
  constructor(blocks: readonly string[]) {
    for (const block of blocks) {
      const [, address = "", prefix] = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(block) ?? [];
      const family = isIP(address);
      const bits = family === 6 ? 128 : 32;
      const prefixBits = prefix === undefined ? bits : Number(prefix);
      if (family === 0 || prefixBits > bits)
        throw new RangeError(`${JSON.stringify(block.slice(0, 60))} is not an IP address or a CIDR block`);
      this.#blocks.addSubnet(address, prefixBits, family === 6 ? "ipv6" : "ipv4");
    }
  }

  allows(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#blocks.check(address, family === 6 ? "ipv6" : "ipv4");
  }
}

/** A peer's address as records and lists have it: an IPv4 address that came mapped into IPv6 is IPv4. */
export function peerAddress(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return "unknown";
  return remoteAddress.replace(/^::ffff:(?=[0-9.]+$)/i, "").replace(/%.*$/, "");
}
