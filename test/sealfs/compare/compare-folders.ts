import { closeSync, constants, openSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeTree } from "./describe.ts";
import { FolderRunner } from "./folder-runner.ts";
import { native } from "./native-calls.ts";
import { type Abilities, type Operation, operationMaker } from "./operation.ts";
import { Random } from "./random.ts";

export interface Comparison {
  readonly seed: number;
  readonly operations: number;
  /** The whole trees are compared after so many operations, and at the end. */
  readonly operationsBetweenTrees?: number;
  /** Called when both trees have been compared; such as to mount a file system anew. All files are closed then. */
  readonly betweenTrees?: () => Promise<void> | void;
}

/** How many operations of each kind gave what: shows that a sequence did more than fail. */
export type Outcomes = ReadonlyMap<string, number>;

const shownOperations = 25;

/**
 * Performs the same seeded random sequence of operations in two empty folders of different file systems, and compares every result
 * (errno, bytes read, attributes), and the trees now and then. `right` is the one that is believed, such as a tmpfs.
 *
 * @throws {Error} At the first difference, with the seed and the operations that led to it.
 */
export async function compareFolders(right: string, tested: string, comparison: Comparison): Promise<Outcomes> {
  const abilities = abilitiesOf([right, tested]);
  const next = operationMaker(new Random(comparison.seed), abilities);
  const runners = [new FolderRunner(right), new FolderRunner(tested)] as const;
  const every = comparison.operationsBetweenTrees ?? 500;
  const recent: string[] = [];
  const outcomes = new Map<string, number>();
  const umask = process.umask(0o022);
  try {
    for (let count = 1; count <= comparison.operations; count += 1) {
      const operation = next();
      const [expected, got] = [runners[0].run(operation), runners[1].run(operation)];
      recent.push(`${count}. ${describeOperation(operation)} = ${expected}`);
      if (recent.length > shownOperations) recent.shift();
      if (expected !== got)
        throw new Error(
          `seed ${comparison.seed}, operation ${count}: expected "${expected}", got "${got}"\n${recent.join("\n")}`,
        );
      const outcome = `${operation.kind} ${/^E[A-Z0-9]+$/.test(expected) ? expected : "done"}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (count % every !== 0 && count !== comparison.operations) continue;
      if (comparison.betweenTrees !== undefined) for (const runner of runners) runner.closeAll();
      compareTrees(
        right,
        tested,
        abilities,
        `seed ${comparison.seed}, after ${count} operations\n${recent.join("\n")}`,
      );
      await comparison.betweenTrees?.();
    }
  } finally {
    for (const runner of runners) runner.closeAll();
    process.umask(umask);
  }
  return outcomes;
}

function compareTrees(right: string, tested: string, abilities: Abilities, where: string): void {
  const [expected, got] = [right, tested].map((root) => describeTree(root, abilities.extendedAttributes));
  const missing = expected?.filter((line) => !got?.includes(line)) ?? [];
  const extra = got?.filter((line) => !expected?.includes(line)) ?? [];
  if (missing.length + extra.length > 0)
    throw new Error(`${where}\nthe trees differ; expected\n${missing.join("\n")}\ngot\n${extra.join("\n")}`);
}

function describeOperation(operation: Operation): string {
  const text = JSON.stringify(operation, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  return text.replace(/n{100,}/g, (name) => `n×${name.length}`);
}

/** What both folders can do: an older kernel's tmpfs has neither extended attributes nor direct access. */
function abilitiesOf(roots: readonly string[]): Abilities {
  return {
    extendedAttributes: roots.every((root) =>
      can(root, (path) => native.setxattr(path, "user.try", Buffer.alloc(1), 1, 0)),
    ),
    directAccess: roots.every((root) =>
      can(root, (path) => closeSync(openSync(path, constants.O_RDWR | constants.O_DIRECT))),
    ),
    otherUsers: process.getuid?.() === 0,
  };
}

function can(root: string, attempt: (path: string) => void): boolean {
  const path = join(root, "ability");
  writeFileSync(path, "");
  try {
    attempt(path);
    return true;
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === "string") return false;
    throw error;
  } finally {
    unlinkSync(path);
  }
}
