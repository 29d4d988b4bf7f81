import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Finding } from "../../volume.ts";
import type { StoreHandover } from "./handover.ts";
import { OpenedVolume } from "./opened-volume.ts";
import { TreeWalk } from "./tree-walk.ts";

const mostShown = 20;

/** Verifies every name, head and block of a closed store, and says by path what does not hold. */
export async function inspectSealedStore(handover: StoreHandover, tableKey: SecretBuffer): Promise<Finding[]> {
  const told: string[] = [];
  const volume = await OpenedVolume.open(handover, tableKey, (what) => told.push(what), "check");
  const walk = new TreeWalk(volume.tree, (path, what) => told.push(`${JSON.stringify(path)}: ${what}`));
  try {
    walk.run();
  } finally {
    volume.close();
  }
  const shown =
    told.slice(0, mostShown).join("; ") + (told.length > mostShown ? `; and ${told.length - mostShown} more` : "");
  return [
    {
      check: "closed in good order",
      ok: true,
      detail: volume.wasClean ? "yes" : "no: the server was killed or the power lost",
    },
    {
      check: "every file and name of the store",
      ok: told.length === 0,
      detail:
        told.length === 0 ? `${walk.files} files, ${walk.bytes} bytes, ${walk.folders} folders: all authentic` : shown,
      ...(told.length === 0 ? {} : { remedy: "restore the files named from a backup; the others are whole" }),
    },
  ];
}
