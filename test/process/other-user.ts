import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { repository } from "./running-server.ts";

/** `nobody` of Debian. */
export const nobody = 65_534;

/** Why no program can be started as another user here, or false. */
export const otherUserUnavailable: string | false = reason();

function reason(): string | false {
  if (process.getuid?.() !== 0) return "starting programs as another user needs root";
  const { status } = spawnSync(join(repository, "bin/strongroom"), ["--version"], { uid: nobody, gid: nobody });
  return status === 0 ? false : `${repository} can't be reached by another user`;
}
