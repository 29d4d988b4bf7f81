import { createHash } from "node:crypto";
import { existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { chooseSm4 } from "../crypto/sm4/choose.ts";
import type { Sm4Provider } from "../crypto/sm4/provider.ts";
import { checkCoreDumps } from "../volume/launch-safety.ts";
import { isInMemory } from "../volume/memory-folder.ts";
import { checkSwap } from "../volume/swap.ts";
import { thisMachine } from "../volume/system-files.ts";
import { exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, withJson } from "./output.ts";

interface Finding {
  readonly check: string;
  /** `missing` things are needed by some parts only; `bad` ones should be mended. */
  readonly state: "ok" | "missing" | "bad";
  readonly detail: string;
  readonly remedy?: string;
}

/** Below this a data folder is reported: requests are refused when their records find no room. */
const leastFreeBytes = 512 * 1024 * 1024;

export function command(): Command {
  return withJson(
    new Command("doctor")
      .description("Check this machine, and a key manager's data folder, and say what to mend.")
      .option("--data <dir>", "data folder of a key manager on this machine")
      .addHelpText(
        "after",
        `
Exit code 1 when something should be mended. Nothing is changed, and no unlock secret is asked for.

Example:
  strongroom doctor --data ./km`,
      ),
  ).action((options: OutputOptions & { data?: string }) => {
    const findings = [
      ...runtimeFindings(),
      ...machineFindings(),
      ...sm4Findings(),
      ...(options.data === undefined ? [] : folderFindings(options.data)),
    ];
    printData(options, findings, (all) =>
      table(
        ["CHECK", "STATE", "DETAIL"],
        all.map(({ check, state, detail, remedy }) => [
          check,
          state,
          remedy === undefined ? detail : `${detail}; ${remedy}`,
        ]),
      ),
    );
    if (findings.some((finding) => finding.state === "bad")) process.exitCode = exitCodes.other;
  });
}

function runtimeFindings(): Finding[] {
  const digest = createHash("sha256").update(readFileSync(process.execPath)).digest("hex");
  const major = Number(process.versions.node.split(".")[0]);
  return [
    {
      check: "node",
      state: major >= 26 ? "ok" : "bad",
      detail: `${process.version}, OpenSSL ${process.versions.openssl}, ${process.execPath}`,
      ...(major >= 26 ? {} : { remedy: "run script/setup, or set STRONGROOM_NODE to a Node 26" }),
    },
    { check: "node's SHA-256", state: "ok", detail: digest },
  ];
}

function machineFindings(): Finding[] {
  const needed = (check: string, path: string, remedy: string): Finding =>
    existsSync(path)
      ? { check, state: "ok", detail: path }
      : { check, state: "missing", detail: `${path} is not there`, remedy };
  const safety = [checkSwap(thisMachine), checkCoreDumps(thisMachine)].map(
    ({ check, ok, detail, remedy }): Finding => ({
      check,
      state: ok || check === "core dumps" ? "ok" : "bad",
      detail: ok
        ? detail
        : `${detail}${check === "core dumps" ? " (strongroom sets it for itself and what it launches)" : ""}`,
      ...(ok || remedy === undefined || check === "core dumps" ? {} : { remedy }),
    }),
  );
  return [
    ...safety,
    isInMemory("/dev/shm")
      ? { check: "shared memory", state: "ok", detail: "/dev/shm is in memory" }
      : {
          check: "shared memory",
          state: "missing",
          detail: "/dev/shm is not a tmpfs",
          remedy: "mount one: keys are handed to programs through it",
        },
    needed("FUSE", "/dev/fuse", "load the fuse module (volumes of kind gocryptfs)"),
    needed("gocryptfs", "/usr/bin/gocryptfs", "install Debian's gocryptfs (volumes of that kind)"),
    needed("fusermount3", "/usr/bin/fusermount3", "install Debian's fuse3 (volumes of kind gocryptfs)"),
  ];
}

const sm4Ways: Readonly<Record<Sm4Provider["name"], string>> = {
  addon: "the compiled addon's",
  wasm: "WebAssembly with",
  openssl: "OpenSSL",
};

/** Which SM4 runs here, and which were passed over, being absent or not equal to node:crypto's. */
function sm4Findings(): Finding[] {
  try {
    const { provider, rejected } = chooseSm4();
    return [
      { check: "SM4", state: "ok", detail: `${sm4Ways[provider.name]} ${provider.detail}` },
      ...rejected.map(
        ({ name, fault, why }): Finding => ({
          check: "faster SM4",
          state: fault === "absent" ? "missing" : "bad",
          detail: `${name} is not used: ${why}`,
          ...(name === "addon" && fault === "absent"
            ? { remedy: "run script/setup where gcc is, which compiles it" }
            : {}),
        }),
      ),
    ];
  } catch (error) {
    return [{ check: "SM4", state: "bad", detail: error instanceof Error ? error.message : String(error) }];
  }
}

function folderFindings(data: string): Finding[] {
  if (!existsSync(join(data, "root.slots")))
    return [
      {
        check: "data folder",
        state: "bad",
        detail: `${data} holds no key manager`,
        remedy: "make one with strongroom init",
      },
    ];
  const { mode, uid } = statSync(data);
  const permissions = mode & 0o777;
  const { bavail, bsize } = statfsSync(data);
  const freeBytes = bavail * bsize;
  return [
    {
      check: "data folder",
      state: (permissions & 0o077) === 0 && uid === process.getuid?.() ? "ok" : "bad",
      detail: `${data}, mode 0${permissions.toString(8)}, uid ${uid}`,
      ...((permissions & 0o077) === 0 ? {} : { remedy: `chmod 700 ${data}` }),
    },
    {
      check: "free space",
      state: freeBytes >= leastFreeBytes ? "ok" : "bad",
      detail: `${Math.floor(freeBytes / 1024 / 1024)} MiB`,
      ...(freeBytes >= leastFreeBytes ? {} : { remedy: "make room: without it requests are refused" }),
    },
    {
      check: "server's socket",
      state: "ok",
      detail: existsSync(join(data, "admin.sock"))
        ? "there: a server runs, or was killed"
        : "none: no server runs on this folder",
    },
  ];
}
