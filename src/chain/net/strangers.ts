import type { Socket } from "node:net";

/** Both ends of a connection as the system names them, before and after TLS. */
export interface ConnectionPlace {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** Connections that have not proved themselves, at one time: of all addresses, and of one. */
export const maxStrangers = 64;
export const maxStrangersOfOneAddress = 16;

/**
 * Incoming connections from their first byte until they have proved which node they are. Too many of them end the oldest one of the
 * address that holds the most, so that idle strangers do not keep out a node, whose proof takes a moment.
 */
export class Strangers {
  /** By place; the oldest is first. */
  readonly #there = new Map<string, Socket>();

  get count(): number {
    return this.#there.size;
  }

  /** Counts a connection in before TLS; it is counted out by its end or by {@link release}. */
  add(connection: Socket): void {
    const place = placeOf(connection);
    this.#there.set(place, connection);
    connection.once("close", () => {
      if (this.#there.get(place) === connection) this.#there.delete(place);
    });
    const address = connection.remoteAddress ?? "";
    const ofOne = [...this.#there.values()].filter(({ remoteAddress }) => remoteAddress === address).length;
    if (ofOne > maxStrangersOfOneAddress) this.#endOldestOf(address);
    else if (this.#there.size > maxStrangers) this.#endOldestOf(this.#mostFrequentAddress());
  }

  /** A connection that has proved itself, or has ended. */
  release(place: ConnectionPlace): void {
    this.#there.delete(placeOf(place));
  }

  endAll(): void {
    for (const connection of this.#there.values()) connection.destroy();
    this.#there.clear();
  }

  #endOldestOf(address: string): void {
    for (const [place, connection] of this.#there) {
      if ((connection.remoteAddress ?? "") !== address) continue;
      this.#there.delete(place);
      connection.destroy();
      return;
    }
  }

  #mostFrequentAddress(): string {
    const counts = new Map<string, number>();
    for (const { remoteAddress = "" } of this.#there.values())
      counts.set(remoteAddress, (counts.get(remoteAddress) ?? 0) + 1);
    const [most] = [...counts].sort(([, one], [, other]) => other - one);
    return most?.[0] ?? "";
  }
}

function placeOf({ remoteAddress, remotePort }: ConnectionPlace): string {
  return `${remoteAddress ?? ""} ${remotePort ?? 0}`;
}
