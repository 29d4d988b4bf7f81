import type { OpenedVolume, ReportFinding } from "./opened-volume.ts";
import type { SlicedWork } from "./sliced-tasks.ts";
import { walkZone } from "./zone-walk.ts";

/** Files that are moved while the others are looked at might be passed over: then all are looked at once more, later. */
const againMs = 60_000;

/**
 * Settles what sessions that did not end well have left behind, in steps: opens every file, which recovers it and commits what was
 * chosen in the present session; and when all is durable, forgets those sessions. From then on damage in what they wrote is damage.
 *
 * A file that is damaged stays as it is, and does not hold this up: it is EIO either way; nor does one whose keys were destroyed. One that cannot be looked at for another
 * reason, such as a missing key, does: then the sessions are kept until a later opening.
 */
export function* settleSessions(volume: OpenedVolume, report: ReportFinding): SlicedWork {
  const { tree, keys } = volume;
  if (volume.wasClean) return;
  while (true) {
    const movesBefore = tree.moves;
    let isHeldUp = false;
    let isForKeysAlone = true;
    yield* walkZone({
      tree,
      path: [],
      isOfZone: () => true,
      // Opening has done it, but for a file that was left without a head.
      visit: (content) => {
        if (content.changed) content.commit();
        else content.stored.commit(false);
      },
      damaged: (path, why) => {
        if (why.startsWith("EIO") || keys.table.zoneOf(path).destroyed) return;
        isHeldUp = true;
        if (!why.startsWith("ENOKEY")) isForKeysAlone = false;
      },
    });
    if (isHeldUp) {
      // A volume that is opened without its master key is nothing to tell of.
      if (!isForKeysAlone)
        report(
          "sessions-kept: not every file could be looked at after a crash; this is done again at the next opening",
        );
      return;
    }
    if (tree.moves === movesBefore) break;
    yield againMs;
  }
  volume.settle();
}
