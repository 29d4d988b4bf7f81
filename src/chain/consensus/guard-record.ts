import type { UnsignedVote } from "./vote.ts";

/**
 * What must be durable before the vote it names is signed. Records are appended; a record of a height may be dropped only
 * when the block of that height is durable in the store.
 */
export interface GuardRecord extends UnsignedVote {
  /**
   * With a commit vote: the block that was prepared and the prepare votes that prove it, encoded. A replica that forgot them
   * could help a later view to another block at the same height.
   */
  readonly prepared?: Buffer;
}
