import { constants } from "node:fs";
import type { Random } from "./random.ts";

/** One step of a sequence. Paths are relative to the folder; a slot is one of some places for an open file. */
export type Operation = { readonly asOther?: boolean } & (
  | { kind: "open"; slot: number; path: string; flags: number; mode: number }
  | { kind: "close"; slot: number }
  | { kind: "fsync" | "fdatasync" | "fstat" | "seekAll"; slot: number }
  | { kind: "write"; slot: number; at: number | null; length: number; mark: number }
  | { kind: "read"; slot: number; at: number; length: number }
  | { kind: "ftruncate"; slot: number; size: number }
  | { kind: "fallocate"; slot: number; mode: number; at: number; length: number }
  | { kind: "mapWrite"; slot: number; at: number; length: number; mark: number; sync: boolean }
  | { kind: "mapRead"; slot: number; at: number; length: number }
  | { kind: "flock"; slot: number; operation: number }
  | { kind: "lockRange"; slot: number; type: number; at: number; length: number }
  | { kind: "copyRange"; slot: number; toSlot: number; at: number; to: number; length: number }
  | { kind: "directWrite" | "directRead"; path: string; page: number; pages: number; mark: number }
  | { kind: "truncate"; path: string; size: number }
  | { kind: "mkdir" | "mkfifo" | "chmod"; path: string; mode: number }
  | {
      kind: "rmdir" | "unlink" | "list" | "stat" | "lstat" | "readlink" | "listAttributes" | "syncFolder";
      path: string;
    }
  | { kind: "rename"; path: string; to: string; flags: number }
  | { kind: "link"; path: string; to: string }
  | { kind: "symlink"; target: string; path: string }
  | { kind: "chown"; path: string; uid: number; gid: number }
  | { kind: "times"; path: string; accessedNs: bigint; modifiedNs: bigint }
  | { kind: "setAttribute"; path: string; name: string; length: number; mark: number; flags: number }
  | { kind: "getAttribute" | "removeAttribute"; path: string; name: string }
);

/** What both folders can do, found out before. */
export interface Abilities {
  readonly extendedAttributes: boolean;
  readonly directAccess: boolean;
  /** Whether the program may act as another user. */
  readonly otherUsers: boolean;
}

export const slotCount = 6;
/** Folders mostly have the first names, files the last ones, so that most steps do something. */
const folderNames = ["a", "b", "c"] as const;
const names = [...folderNames, "f", "g", "h", "i", "j"] as const;
const oddNames = [
  "ü ñ\u0301",
  "n".repeat(255),
  "n".repeat(256),
  "with space",
  ".hidden",
  "back\\slash~tilde=",
] as const;
const attributeNames = ["user.one", "user.two", `user.${"x".repeat(200)}`, "nonsense"] as const;
const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;

function randomPath(random: Random, last: readonly [string, ...string[]] = names): string {
  const parts: string[] = [];
  const depth = random.pick([1, 1, 2, 2, 3]);
  for (let level = 1; level <= depth; level += 1) {
    const likely = level === depth ? last : folderNames;
    parts.push(random.chance(25) ? random.pick(oddNames) : random.pick(likely));
  }
  return parts.join("/");
}

/** Mostly in the first blocks, often at their edges, now and then beyond 4 GiB. */
function randomPlace(random: Random): number {
  if (random.chance(40)) return 5 * 2 ** 30 + random.below(100_000);
  if (random.chance(3)) return Math.max(0, 4096 * random.below(40) + random.below(5) - 2);
  return random.below(200_000);
}

function randomLength(random: Random): number {
  if (random.chance(30)) return random.below(300_000);
  return random.chance(3) ? 4096 * (1 + random.below(4)) : random.below(10_000);
}

function randomFlags(random: Random): number {
  let flags = random.pick([O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR]);
  if (!random.chance(3)) flags |= O_CREAT;
  if (random.chance(6)) flags |= O_EXCL;
  if (random.chance(6)) flags |= O_TRUNC;
  if (random.chance(5)) flags |= O_APPEND;
  if (random.chance(20)) flags |= O_NOFOLLOW;
  if (random.chance(30)) flags = (flags & ~O_CREAT) | O_DIRECTORY;
  return flags;
}

/** KEEP_SIZE 1, PUNCH_HOLE 2 (with KEEP_SIZE). ZERO_RANGE is not there on tmpfs. */
function fallocateMode(random: Random): number {
  return random.pick([0, 1, 3, 3, 2]);
}

const makers: readonly (readonly [weight: number, make: (random: Random) => Operation, needs?: keyof Abilities])[] = [
  [
    18,
    (r) => ({
      kind: "open",
      slot: r.below(slotCount),
      path: randomPath(r),
      flags: randomFlags(r),
      mode: randomMode(r),
    }),
  ],
  [4, (r) => ({ kind: "close", slot: r.below(slotCount) })],
  [2, (r) => ({ kind: "fsync", slot: r.below(slotCount) })],
  [2, (r) => ({ kind: "fdatasync", slot: r.below(slotCount) })],
  [4, (r) => ({ kind: "fstat", slot: r.below(slotCount) })],
  [2, (r) => ({ kind: "seekAll", slot: r.below(slotCount) })],
  [
    14,
    (r) => ({ kind: "write", slot: r.below(slotCount), at: randomPlace(r), length: randomLength(r), mark: r.next() }),
  ],
  [6, (r) => ({ kind: "write", slot: r.below(slotCount), at: null, length: r.below(3000), mark: r.next() })],
  [10, (r) => ({ kind: "read", slot: r.below(slotCount), at: randomPlace(r), length: randomLength(r) })],
  [4, (r) => ({ kind: "ftruncate", slot: r.below(slotCount), size: randomPlace(r) })],
  [
    4,
    (r) => ({
      kind: "fallocate",
      slot: r.below(slotCount),
      mode: fallocateMode(r),
      at: r.below(200_000),
      length: randomLength(r),
    }),
  ],
  [
    4,
    (r) => ({
      kind: "mapWrite",
      slot: r.below(slotCount),
      at: r.below(200_000),
      length: 1 + r.below(20_000),
      mark: r.next(),
      sync: r.chance(2),
    }),
  ],
  [3, (r) => ({ kind: "mapRead", slot: r.below(slotCount), at: r.below(200_000), length: 1 + r.below(20_000) })],
  [2, (r) => ({ kind: "flock", slot: r.below(slotCount), operation: 4 | r.pick([1, 2, 8]) })],
  [2, (r) => ({ kind: "lockRange", slot: r.below(slotCount), type: r.below(3), at: r.below(10), length: r.below(10) })],
  [
    1,
    (r) => ({
      kind: "copyRange",
      slot: r.below(slotCount),
      toSlot: r.below(slotCount),
      at: r.below(50_000),
      to: r.below(50_000),
      length: r.below(50_000),
    }),
  ],
  [
    2,
    (r) => ({ kind: "directWrite", path: randomPath(r), page: r.below(40), pages: 1 + r.below(8), mark: r.next() }),
    "directAccess",
  ],
  [
    2,
    (r) => ({ kind: "directRead", path: randomPath(r), page: r.below(40), pages: 1 + r.below(8), mark: 0 }),
    "directAccess",
  ],
  [2, (r) => ({ kind: "truncate", path: randomPath(r), size: randomPlace(r) })],
  [6, (r) => ({ kind: "mkdir", path: randomPath(r, folderNames), mode: randomMode(r) | (r.chance(3) ? 0o700 : 0) })],
  [1, (r) => ({ kind: "mkfifo", path: randomPath(r), mode: randomMode(r) })],
  [3, (r) => ({ kind: "chmod", path: randomPath(r), mode: randomMode(r) | (r.chance(4) ? 0o7000 & r.next() : 0) })],
  [2, (r) => ({ kind: "rmdir", path: randomPath(r) })],
  [3, (r) => ({ kind: "unlink", path: randomPath(r) })],
  [3, (r) => ({ kind: "list", path: r.chance(4) ? "." : randomPath(r) })],
  [4, (r) => ({ kind: "stat", path: randomPath(r) })],
  [4, (r) => ({ kind: "lstat", path: randomPath(r) })],
  [2, (r) => ({ kind: "readlink", path: randomPath(r) })],
  [1, (r) => ({ kind: "syncFolder", path: r.chance(2) ? "." : randomPath(r) })],
  [7, (r) => ({ kind: "rename", path: randomPath(r), to: randomPath(r), flags: r.pick([0, 0, 0, 1, 2, 2, 3]) })],
  [3, (r) => ({ kind: "link", path: randomPath(r), to: randomPath(r) })],
  [2, (r) => ({ kind: "symlink", target: randomPath(r), path: randomPath(r) })],
  [
    2,
    (r) => ({ kind: "chown", path: randomPath(r), uid: r.pick([0, 1000, 65534]), gid: r.pick([0, 1000, 65534]) }),
    "otherUsers",
  ],
  [3, (r) => ({ kind: "times", path: randomPath(r), accessedNs: randomTime(r), modifiedNs: randomTime(r) })],
  [
    2,
    (r) => ({
      kind: "setAttribute",
      path: randomPath(r),
      name: r.pick(attributeNames),
      length: r.below(300),
      mark: r.next(),
      flags: r.pick([0, 0, 1, 2]),
    }),
    "extendedAttributes",
  ],
  [2, (r) => ({ kind: "getAttribute", path: randomPath(r), name: r.pick(attributeNames) }), "extendedAttributes"],
  [1, (r) => ({ kind: "removeAttribute", path: randomPath(r), name: r.pick(attributeNames) }), "extendedAttributes"],
  [1, (r) => ({ kind: "listAttributes", path: randomPath(r) }), "extendedAttributes"],
];

function randomMode(random: Random): number {
  return random.pick([0o644, 0o755, 0o777, 0o600, 0o666, 0o000, 0o070]);
}

/** In 2001 or so: a time that the present can't be taken for. */
function randomTime(random: Random): bigint {
  return 1_000_000_000_000_000_000n + BigInt(random.next()) * 1_000_003n;
}

/** Makes operations; the sequence depends on the source and the abilities alone. */
export function operationMaker(random: Random, abilities: Abilities): () => Operation {
  const possible = makers.filter(([, , needs]) => needs === undefined || abilities[needs]);
  const total = possible.reduce((sum, [weight]) => sum + weight, 0);
  return () => {
    let ticket = random.below(total);
    const chosen = possible.find(([weight]) => {
      ticket -= weight;
      return ticket < 0;
    });
    if (chosen === undefined) throw new RangeError("no operation was drawn");
    const operation = chosen[1](random);
    return random.chance(8) && abilities.otherUsers ? { ...operation, asOther: true } : operation;
  };
}
