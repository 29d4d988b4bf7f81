/** What lies in the store folder of a sealfs volume. Names are part of the format (docs/sealfs.md). */
export const storeNames = {
  /** The sealed files. */
  tree: "tree",
  /** The key table. */
  keyTable: "keys",
  /** There only while the volume is closed, and was closed in good order. */
  cleanMark: "clean",
} as const;
