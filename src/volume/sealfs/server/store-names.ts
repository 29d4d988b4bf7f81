/** What lies in the store folder of a sealfs volume. Names are part of the format (docs/sealfs.md). */
export const storeNames = {
  /** The sealed files. */
  tree: "tree",
  /** The key table. */
  keyTable: "keys",
  /** How far the last two sessions were synced. */
  syncMarks: "synced",
} as const;
