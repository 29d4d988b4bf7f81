import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface FileUser {
  readonly pid: number;
  readonly program: string;
}

const mostShown = 5;

/** The processes with an open file, a working directory, a root or a mapped program under `folder`, as far as we may look. */
export function usersOfFilesUnder(folder: string): FileUser[] {
  const users: FileUser[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    if (linksOf(`/proc/${name}`).some((target) => target === folder || target.startsWith(`${folder}/`)))
      users.push({ pid: Number(name), program: programOf(name) });
  }
  return users;
}

/** `process 12 (geth), process 13 (cat)`, or a remark that none could be seen. */
export function describeUsers(users: readonly FileUser[]): string {
  if (users.length === 0) return "a process that cannot be seen from here";
  const shown = users.slice(0, mostShown).map(({ pid, program }) => `process ${pid} (${program})`);
  return users.length > mostShown ? `${shown.join(", ")} and ${users.length - mostShown} more` : shown.join(", ");
}

function linksOf(processFolder: string): string[] {
  const links = ["cwd", "root", "exe"].map((name) => `${processFolder}/${name}`);
  for (const list of ["fd", "map_files"]) {
    try {
      links.push(...readdirSync(`${processFolder}/${list}`).map((name) => `${processFolder}/${list}/${name}`));
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return links.flatMap((link) => {
    try {
      return [readlinkSync(link)];
    } catch {
      return [];
    }
  });
}

function programOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "ended";
  }
}
