import { copyTree, treeDigest } from "./tree.ts";

/** One way of copying a data folder into or out of a volume's data folder, and of proving the copy. */
export interface DataMover {
  /** Copies, durably; an interrupted copy goes on or starts over. `fresh`: nothing that is there is trusted. */
  copy(from: string, to: string, fresh: boolean): Promise<void>;
  /** A digest of what was compared when both hold the same, else undefined. */
  verify(from: string, to: string): Promise<string | undefined>;
}

/** Volumes that encrypt any file: the tree is copied as it is. */
export const treeMover: DataMover = {
  async copy(from, to, fresh) {
    copyTree(from, to, { fresh });
  },
  async verify(from, to) {
    const digest = await treeDigest(from);
    return digest === (await treeDigest(to)) ? digest : undefined;
  },
};
