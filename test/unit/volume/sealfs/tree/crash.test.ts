import assert from "node:assert/strict";
import { afterEach, type TestContext, test } from "node:test";
import { renameFlags } from "../../../../../src/volume/sealfs/file-system.ts";
import { FsError } from "../../../../../src/volume/sealfs/fs-error.ts";
import { SealedContents } from "../../../../../src/volume/sealfs/server/sealed-contents.ts";
import { observeSystemCalls, type SystemCallName } from "../../../../../src/volume/sealfs/system/calls.ts";
import { nobody, OpenedTree, root } from "./opened-tree.ts";
import { TestKeys } from "./test-keys.ts";

/** Calls that leave the backing folder as it is; an openat that makes a file is counted as a change by what follows it. */
const harmless: ReadonlySet<SystemCallName> = new Set<SystemCallName>([
  "close",
  "statx",
  "pread",
  "getdents",
  "readlinkat",
  "fstatvfs",
  "clockGettime",
  "lgetxattr",
  "llistxattr",
  "fgetxattr",
  "flistxattr",
  "getxattr",
  "listxattr",
  "getrlimit",
  "setrlimit",
]);

class Killed extends Error {}

const long = "l".repeat(255);
const layout = { blockBytes: 4096, integrity: "blocks" } as const;

interface Step {
  readonly what: string;
  readonly prepare: (opened: OpenedTree) => void;
  readonly change: (opened: OpenedTree) => void;
}

const prepareTwo = (opened: OpenedTree): void => {
  opened.makeFile(root, "a", "of a");
  opened.makeFile(root, "b", "of b");
  const folder = opened.makeFolder(root, "folder");
  opened.makeFile(folder, "inner", "of inner");
  opened.makeFile(folder, long, "of long");
  opened.makeFolder(root, "empty");
};
const folderOf = (opened: OpenedTree): number => opened.tree.lookup(root, "folder").node;

const steps: readonly Step[] = [
  { what: "a rename", prepare: prepareTwo, change: ({ tree }) => tree.rename(root, "a", root, "c", 0) },
  { what: "a replacing rename", prepare: prepareTwo, change: ({ tree }) => tree.rename(root, "a", root, "b", 0) },
  {
    what: "a rename that replaces an entry of another folder",
    prepare: prepareTwo,
    change: (opened) => opened.tree.rename(root, "a", folderOf(opened), "inner", 0),
  },
  {
    what: "a rename that replaces a long name",
    prepare: prepareTwo,
    change: (opened) => opened.tree.rename(root, "a", folderOf(opened), long, 0),
  },
  {
    what: "a rename from a long name to another",
    prepare: prepareTwo,
    change: (opened) => opened.tree.rename(folderOf(opened), long, root, `${long.slice(1)}m`, 0),
  },
  {
    what: "a folder's rename over an empty folder",
    prepare: prepareTwo,
    change: ({ tree }) => tree.rename(root, "folder", root, "empty", 0),
  },
  {
    what: "an exchange of two files",
    prepare: prepareTwo,
    change: ({ tree }) => tree.rename(root, "a", root, "b", renameFlags.exchange),
  },
  {
    what: "an exchange between folders",
    prepare: prepareTwo,
    change: (opened) => opened.tree.rename(root, "a", folderOf(opened), long, renameFlags.exchange),
  },
  {
    what: "an exchange of a folder and a file",
    prepare: prepareTwo,
    change: ({ tree }) => tree.rename(root, "folder", root, "a", renameFlags.exchange),
  },
  { what: "an unlink", prepare: prepareTwo, change: ({ tree }) => tree.unlink(root, "a") },
  {
    what: "an unlink of a long name",
    prepare: prepareTwo,
    change: (opened) => opened.tree.unlink(folderOf(opened), long),
  },
  { what: "a new file", prepare: prepareTwo, change: (opened) => void opened.makeFile(root, "new") },
  { what: "a new file of a long name", prepare: prepareTwo, change: (opened) => void opened.makeFile(root, long) },
  {
    what: "a link",
    prepare: prepareTwo,
    change: ({ tree }) => void tree.link(tree.lookup(root, "a").node, root, long),
  },
  { what: "a new folder", prepare: prepareTwo, change: (opened) => void opened.makeFolder(root, "new") },
  { what: "a removed folder", prepare: prepareTwo, change: ({ tree }) => tree.removeDirectory(root, "empty") },
  {
    what: "a new symbolic link",
    prepare: prepareTwo,
    change: ({ tree }) => void tree.makeSymlink(root, "new", Buffer.from("target"), nobody),
  },
];

afterEach(() => observeSystemCalls(undefined));

for (const names of ["plain", "encrypted"] as const)
  for (const { what, prepare, change } of steps)
    test(`${what} that is killed at any system call has happened or has not (${names} names)`, (t) => {
      const fresh = (): OpenedTree => openVolume(t, names);
      const done = fresh();
      prepare(done);
      const before = describe(done);
      let calls = 0;
      observeSystemCalls((name) => {
        if (!harmless.has(name)) calls += 1;
      });
      change(done);
      observeSystemCalls(undefined);
      const after = describe(done);
      assert.notDeepEqual(after, before);
      assert.equal(calls > 0, true);

      for (let cut = 0; cut < calls; cut += 1) {
        const opened = fresh();
        prepare(opened);
        opened.reopen();
        let left = cut;
        observeSystemCalls((name) => {
          if (harmless.has(name)) return;
          if (left === 0) throw new Killed();
          left -= 1;
        });
        assertKilled(() => change(opened));
        opened.abandon();
        observeSystemCalls(undefined);
        const found = describe(opened);
        const expected = JSON.stringify(found) === JSON.stringify(before) ? before : after;
        assert.deepEqual(found, expected, `cut before change ${cut} of ${calls}`);
        const kinds = new Set(opened.eventKinds());
        for (const allowed of ["entry-finished", "exchange-finished", "content-damaged"]) kinds.delete(allowed);
        assert.deepEqual([...kinds], []);
        opened.events.length = 0;
        opened.close();
        assert.deepEqual(describe(opened), found);
        assert.deepEqual(opened.events, []);
        opened.close();
      }
    });

/** What comes after a kill is lost: a step that goes on after a failed call would hide that. */
function assertKilled(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof Killed) && !(error instanceof FsError)) throw error;
  }
}

function openVolume(t: TestContext, names: "plain" | "encrypted"): OpenedTree {
  const opened = new OpenedTree(t, new TestKeys(names), new SealedContents(layout, false, () => {}));
  opened.afterCrash = true;
  return opened;
}

function describe(opened: OpenedTree): string[] {
  const lines: string[] = [];
  const visit = (node: number, path: string): void => {
    for (const name of opened.list(node)) {
      const { node: below, attributes } = opened.tree.lookup(node, name);
      const type = attributes.mode >> 12;
      const where = `${path}/${name}`;
      if (type === 4) visit(below, where);
      const links = type === 4 ? "" : ` ${attributes.links} links`;
      lines.push(`${where} ${type}${links} ${type === 8 ? opened.read(node, name) : ""}`);
    }
  };
  visit(root, "");
  return lines.sort();
}
