import {
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { native } from "../../../../sealfs/compare/native-calls.ts";
import { blockBytes } from "./store-on-disk.ts";

const headBytes = 4096;
const slotsAt = 2 * headBytes;
const slotBytes = blockBytes + 32;
const longestAttribute = 4096;

/** One bit of one thing in a store that is inverted. */
export interface Damage {
  /** Of what kind the thing is. */
  readonly kind: string;
  /** Does it to a copy of the store. */
  inflict(store: string): void;
}

type Random = () => number;

/** Damage to each kind of thing that a store holds, at random places. @param each - How many times to each thing. */
export function damagesOf(store: string, random: Random, each: number): Damage[] {
  return walk(store).flatMap((path) => {
    const at = relative(store, path);
    const times = (kind: string, make: () => (store: string) => void): Damage[] =>
      Array.from({ length: each }, () => {
        const inflict = make();
        return { kind, inflict };
      });
    const below = (from: number, end: number): number => from + Math.floor(random() * (end - from));
    const bit = (kind: string, from: number, end: number): Damage[] =>
      times(kind, () => {
        const [byte, mask] = [below(from, end), 1 << below(0, 8)];
        return (copy) => invert(join(copy, at), byte, mask);
      });
    const name = at.startsWith("tree/")
      ? times("name", () => {
          const place = below(0, at.length - at.lastIndexOf("/") - 1);
          return (copy) => alterName(copy, at, place);
        })
      : [];
    const status = lstatSync(path);
    if (status.isDirectory()) return at === "tree" ? [] : name;
    if (status.isSymbolicLink())
      return [
        ...name,
        ...times("link", () => (copy) => alterLink(join(copy, at), below(0, readlinkSync(path).length))),
      ];
    if (!at.startsWith("tree/")) return status.size === 0 ? [] : bit(`file ${at}`, 0, status.size);
    // The name's own file beside a long one is the only one without room for heads.
    if (status.size < slotsAt)
      return status.size === 0 ? name : [...name, ...bit("small file of the tree", 0, status.size)];
    const slots = Math.floor((status.size - slotsAt) / slotBytes);
    return [
      ...name,
      ...bit("head A", 0, 512),
      ...bit("head B", headBytes, headBytes + 512),
      // Among the last ones of a file of many blocks are the pages of its map.
      ...(slots === 0 ? [] : bit("slot", slotsAt, status.size)),
      ...(slots < 100 ? [] : bit("late slot", status.size - 20 * slotBytes, status.size)),
      ...attributesOf(path).flatMap((attribute) =>
        times("attribute", () => (copy) => alterAttribute(join(copy, at), attribute, random())),
      ),
    ];
  });
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...walk(path)] : [path];
  });
}

function invert(path: string, byte: number, mask: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(byte) ^ mask, byte);
  writeFileSync(path, bytes);
}

/** Another character of base64url in its place. */
function altered(text: string, place: number): string {
  return `${text.slice(0, place)}${text[place] === "A" ? "B" : "A"}${text.slice(place + 1)}`;
}

function alterName(store: string, at: string, place: number): void {
  const slash = at.lastIndexOf("/") + 1;
  renameSync(join(store, at), join(store, at.slice(0, slash) + altered(at.slice(slash), place)));
}

function alterLink(path: string, place: number): void {
  const target = readlinkSync(path);
  rmSync(path);
  symlinkSync(altered(target, place), path);
}

function attributesOf(path: string): string[] {
  const room = Buffer.alloc(longestAttribute);
  const length = native.listxattr(path, room, room.length);
  return room.toString("latin1", 0, length).split("\0").slice(0, -1);
}

function alterAttribute(path: string, name: string, where: number): void {
  const room = Buffer.alloc(longestAttribute);
  const value = room.subarray(0, native.getxattr(path, name, room, room.length));
  const byte = Math.floor(where * value.length);
  value.writeUInt8(value.readUInt8(byte) ^ 4, byte);
  native.setxattr(path, name, value, value.length, 0);
}
