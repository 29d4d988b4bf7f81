import type { HandshakeRole } from "./handshake.ts";
import type { Link } from "./link.ts";

/**
 * The proved links of one node, at most one for each other node. Of two connections between a pair the one that the node
 * with the smaller id has dialed stays: both sides come to the same answer without a word.
 */
export class Peers {
  readonly #ownNodeId: string;
  readonly #links = new Map<string, Link>();

  constructor(ownNodeId: string) {
    this.#ownNodeId = ownNodeId;
  }

  /** Node ids, in their order. */
  get connected(): readonly string[] {
    return [...this.#links.keys()].sort();
  }

  get(nodeId: string): Link | undefined {
    return this.#links.get(nodeId);
  }

  /**
   * Takes a link in, or closes it when the one that is there stays. A second link that was dialed by the same side takes the
   * place of the first: that side has lost it, or it would not have dialed.
   *
   * @returns False when `link` was closed.
   */
  add(link: Link): boolean {
    const there = this.#links.get(link.nodeId);
    if (there !== undefined) {
      if (there.role !== link.role && this.#stays(there.role, link.nodeId)) {
        link.close();
        return false;
      }
      this.#links.delete(link.nodeId);
      there.close();
    }
    this.#links.set(link.nodeId, link);
    return true;
  }

  /** Forgets a link that has ended, unless another has taken its place. */
  remove(link: Link): boolean {
    if (this.#links.get(link.nodeId) !== link) return false;
    return this.#links.delete(link.nodeId);
  }

  closeAll(): void {
    for (const link of [...this.#links.values()]) link.close();
    this.#links.clear();
  }

  /** Whether a connection in which this node had `role` is the one that the smaller id has dialed. */
  #stays(role: HandshakeRole, nodeId: string): boolean {
    return (role === "dialer") === this.#ownNodeId < nodeId;
  }
}
