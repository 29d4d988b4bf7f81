/** What the tree found wrong in the backing folder. The request at hand, if any, got EIO. */
export const treeEvents = {
  "entry-damaged": "an entry of a folder is not bound to this folder and name: altered, moved or copied",
  "entry-repeated": "two entries of a folder have one name, and no crash left one of them: neither is believed",
  "entry-finished": "a replaced entry that a crash had left was removed",
  "entry-kept": "a replaced entry that a crash had left could not be removed",
  "entry-missing": "an entry vanished while the file system was in use",
  "folder-replaced": "a backing folder is in another's place: nothing in it is believed",
  "inode-replaced": "an entry leads to another file than before, or two entries of one file lead to different ones",
  "name-damaged": "the file that keeps an entry's long name is altered or missing",
  "stray-file": "a file of the backing folder is none of this file system's",
  "content-damaged": "a file's content, attribute or link target is altered or cut, or was lost in a crash",
  "exchange-unfinished": "an exchange of two entries was begun; the next opening finishes it, or drops it",
  "exchange-dropped": "an exchange of two entries was found begun though no crash came: it was not carried out",
  "exchange-finished": "an exchange of two entries that a crash had cut short was finished",
} as const;

export interface TreeEvent {
  readonly kind: keyof typeof treeEvents;
  /** Of the file or folder that it is about, base64url, where known. */
  readonly fileId?: string;
  /** Of the folder that holds it, base64url. */
  readonly folderId?: string;
  /** In the backing folder; shows the plaintext name unless names are encrypted. */
  readonly backingName?: string;
  /** More words, without content. */
  readonly detail?: string;
}

export type ReportTreeEvent = (event: TreeEvent) => void;
