/** Times and limits of a replica. The defaults are those of a local network with blocks of one second. */
export interface ReplicaSettings {
  /** From one proposal to the next; longer where votes take longer. @defaultValue 1000 */
  readonly blockTimeMs: number;
  /** Until a view without a block is given up; doubles with each view. @defaultValue 4000 */
  readonly viewTimeoutMs: number;
  /** Between repetitions of what may have been lost. @defaultValue 1000 */
  readonly resendMs: number;
  /** For a peer to send the blocks asked for. @defaultValue 2000 */
  readonly syncTimeoutMs: number;
  /** In one block, at most. @defaultValue 1000 */
  readonly blockTransactions: number;
  /** How far a new proposal's time may be from this node's. @defaultValue 30000 */
  readonly clockDriftMs: number;
}

export const defaultReplicaSettings: ReplicaSettings = {
  blockTimeMs: 1000,
  viewTimeoutMs: 4000,
  resendMs: 1000,
  syncTimeoutMs: 2000,
  blockTransactions: 1000,
  clockDriftMs: 30_000,
};
