/** Where a node listens. */
export interface Address {
  /** A name or an address; an IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `HOST:PORT` or `[IPv6]:PORT`.
 *
 * @throws {RangeError} For any other text.
 */
export function readAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([1-9][0-9]{0,4})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) throw new RangeError(`${JSON.stringify(text)} is not HOST:PORT`);
  return { host, port };
}

export function writeAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
